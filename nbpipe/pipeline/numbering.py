"""Running numbers of a notebook's versions: v1, v2, v3 … A small file beside the store, never the truth."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

_FILE = "versions.json"


def version_number(state: Path, name: str, version: str) -> int:
    """The number of a version of the pipeline `name`; a new version gets the next one.

    `state` is the project's `.nbpipe`. Losing the file only restarts the numbers.
    """
    path = state / _FILE
    known = _known(state)
    versions = known.setdefault(name, [])
    if version in versions:
        return versions.index(version) + 1
    versions.append(version)
    scratch = path.with_name(f".versions.{os.getpid()}")
    state.mkdir(parents=True, exist_ok=True)
    scratch.write_bytes(msgspec.json.format(msgspec.json.encode(known)))
    scratch.replace(path)
    return len(versions)


def known_number(state: Path, name: str, version: str) -> int | None:
    """The number that a version has; None for one that has none yet."""
    versions = _known(state).get(name, [])
    return versions.index(version) + 1 if version in versions else None


def _known(state: Path) -> dict[str, list[str]]:
    try:
        return msgspec.json.decode((state / _FILE).read_bytes(), type=dict[str, list[str]])
    except (OSError, msgspec.MsgspecError):
        return {}
