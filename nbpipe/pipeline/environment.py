"""Which distributions provide the imported modules, found by folder listings instead of a scan of all metadata."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from nbpipe.pipeline.providers import providers

#: Packages that running a pipeline takes, besides those that the notebook imports.
TOOLS = (
    "blake3",
    "click",
    "fsspec",
    "ipykernel",
    "jupytext",
    "msgspec",
    "nbclient",
    "nbformat",
    "numpy",
    "papermill",
    "pyarrow",
    "safetensors",
)


def provided(tops: Iterable[str]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Distribution -> version, and top-level module -> distributions, for the modules that are installed."""
    by_module: dict[str, tuple[str, ...]] = {}
    versions: dict[str, str] = {}
    wanted = set(tops) - sys.stdlib_module_names
    for top, found in providers(wanted, tuple(sys.path)).items() if wanted else ():
        if found:
            by_module[top] = tuple(sorted(name for name, _ in found))
            versions |= dict(found)
    return dict(sorted(versions.items())), by_module


def python_minor() -> str:
    """Python's minor version, such as `3.11`."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"
