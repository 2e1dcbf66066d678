"""Folders for a while: whoever makes one removes those that a killed process left behind."""

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
    """A new folder among the temporary files, gone afterwards. Those with this prefix that nobody holds go first.

    A folder is held by a lock on a file in it, which ends with the process that has it, however that ends. Raises OSError
    where none can be made.
    """
    remove_abandoned(prefix)
    place = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
    try:
        with (place / _LOCK).open("wb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
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
