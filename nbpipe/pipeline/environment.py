"""Which distributions provide the imported modules, found by folder listings instead of a scan of all metadata."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterable
from pathlib import Path

_INFO = ".dist-info"


def provided(tops: Iterable[str]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Distribution -> version, and top-level module -> distributions, for the modules that are installed."""
    by_module: dict[str, tuple[str, ...]] = {}
    versions: dict[str, str] = {}
    for top in sorted(set(tops) - sys.stdlib_module_names):
        found = _providers(top, tuple(sys.path))
        if found:
            by_module[top] = tuple(sorted(name for name, _ in found))
            versions |= dict(found)
    return dict(sorted(versions.items())), by_module


def python_minor() -> str:
    """Python's minor version, such as `3.11`."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


@functools.lru_cache(maxsize=1024)
def _providers(top: str, path: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    for place in map(Path, path):
        if not ((place / top).is_dir() or any(place.glob(f"{top}.*"))):
            continue
        infos = sorted(place.glob(f"*{_INFO}"))
        infos.sort(key=lambda info: _canonical(info.name.partition("-")[0]) != _canonical(top))
        for info in infos:
            if _provides(info, top):
                name, _, version = info.name.removesuffix(_INFO).partition("-")
                return ((_canonical(name), version),)
    return ()


def _provides(info: Path, top: str) -> bool:
    listing = info / "top_level.txt"
    if listing.is_file() and top in listing.read_text(encoding="utf-8").split():
        return True
    record = info / "RECORD"
    if not record.is_file():
        return False
    text = "\n" + record.read_text(encoding="utf-8")
    return f"\n{top}/" in text or f"\n{top}." in text


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
