"""Summaries of finished runs in one file, so that a history of thousands is read at once.

It is never the truth: it may be deleted at any time, an entry counts only for the very folder it was made from, and
what it cannot say is read from the journals.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from nbpipe.history.summary import RunSummary

#: Raised with every change of `RunSummary` or of what a journal means; an index of another version is not read.
SCHEMA = 1


class Entry(msgspec.Struct, frozen=True):
    """A summary and the inode of the run's folder: a folder made anew under the same name is another run."""

    inode: int
    summary: RunSummary


class _File(msgspec.Struct, frozen=True):
    schema: int
    entries: dict[str, Entry]


class _Schema(msgspec.Struct, frozen=True):
    schema: int


def read_index(path: Path) -> dict[str, Entry]:
    """Entries by run; empty where there is no index, or none that can be read."""
    try:
        data = path.read_bytes()
        if msgspec.json.decode(data, type=_Schema).schema != SCHEMA:
            return {}
        return msgspec.json.decode(data, type=_File).entries
    except (OSError, msgspec.MsgspecError):
        return {}


def write_index(path: Path, entries: dict[str, Entry]) -> None:
    """Replace the index as a whole. Where that cannot be (a read-only place), the journals are read again next time."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(msgspec.json.encode(_File(SCHEMA, entries)))
        scratch.replace(path)
