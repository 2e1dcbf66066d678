"""Which distribution gives a module: looked up once, and remembered until a folder of packages changes.

The memory lies in the user's own `~/.cache/nbpipe/providers/`. Losing it costs time only.
"""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
from blake3 import blake3

_INFO = ".dist-info"
#: Seconds: a folder that changed just now may change again within the clock's resolution.
_YOUNG = 2.0
#: (canonical name, version) of the distributions that give a module.
Providers = tuple[tuple[str, str], ...]


def providers(tops: Iterable[str], path: tuple[str, ...]) -> dict[str, Providers]:
    """Top-level module -> the distributions that give it, for the folders of `path`; empty for one that none gives."""
    names = sorted(set(tops))
    stamp, young = _stamp(path)
    known = _read(stamp)
    found = {name: known[name] if name in known else _look_up(name, path, stamp) for name in names}
    if not young and not found.keys() <= known.keys():
        _write(stamp, known | found)
    return found


def canonical(name: str) -> str:
    """The name of a distribution as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _stamp(path: tuple[str, ...]) -> tuple[str, bool]:
    """Folders of `path` with the time of their last change, as one hash; and whether one of them changed just now."""
    times = []
    for place in path:
        try:
            times.append((place, Path(place).stat().st_mtime_ns))
        except OSError:
            times.append((place, 0))
    newest = max((changed for _, changed in times), default=0)
    return blake3(repr((1, times)).encode("utf-8", "surrogatepass")).hexdigest()[
        :32
    ], time.time_ns() - newest < _YOUNG * 1e9


def _file(stamp: str) -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "nbpipe" / "providers" / f"{stamp}.json"


def _read(stamp: str) -> dict[str, Providers]:
    try:
        return msgspec.json.decode(_file(stamp).read_bytes(), type=dict[str, Providers])
    except (OSError, RuntimeError, msgspec.MsgspecError):
        return {}


def _write(stamp: str, found: dict[str, Providers]) -> None:
    try:
        target = _file(stamp)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch = target.with_name(f".{stamp}.{os.getpid()}")
        scratch.write_bytes(msgspec.json.encode(found))
        scratch.replace(target)
    except (OSError, RuntimeError):
        return


@functools.lru_cache(maxsize=1024)
def _look_up(top: str, path: tuple[str, ...], stamp: str) -> Providers:  # noqa: ARG001 - what is remembered is of that time
    for place in map(Path, path):
        if not ((place / top).is_dir() or any(place.glob(f"{top}.*"))):
            continue
        infos = sorted(place.glob(f"*{_INFO}"))
        infos.sort(key=lambda info: canonical(info.name.partition("-")[0]) != canonical(top))
        for info in infos:
            if _provides(info, top):
                name, _, version = info.name.removesuffix(_INFO).partition("-")
                return ((canonical(name), version),)
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
