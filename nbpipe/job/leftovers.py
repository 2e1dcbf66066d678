"""Folders for a while: those that a killed process left behind are known, and removed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = ".held"


@contextmanager
def held_folder(prefix: str) -> Iterator[Path]:
    """A new folder among the temporary files, gone afterwards: of one whose process is killed `remove_abandoned` knows.

    A folder is held by a lock on a file in it, which ends with the process that has it, however that ends. Raises OSError
    where none can be made.
    """
    place = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
    try:
        with (place / f"{_LOCK}.new").open("wb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            # Not before it is locked: somebody else may look for what nobody holds just now.
            (place / f"{_LOCK}.new").rename(place / _LOCK)
            yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def remove_abandoned(prefix: str) -> None:
    """Remove this user's folders with this prefix that nobody holds; what cannot be removed stays."""
    for place in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        try:
            if place.is_symlink() or place.stat().st_uid != os.getuid():
                continue
            with (place / _LOCK).open("rb") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(place, ignore_errors=True)
        except OSError:
            # Held, or just being made, or removed by somebody else.
            continue
