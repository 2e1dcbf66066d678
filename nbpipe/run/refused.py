"""What a run says when the disk refuses."""

from __future__ import annotations

import errno
from pathlib import Path

from nbpipe.errors import StoreError


def refused(path: Path | str, error: OSError) -> StoreError:
    """A StoreError in plain words. `path` is what was to be written, if the error itself does not say."""
    name = str(error.filename or path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"the disk is full: {name} cannot be written",
            name=name,
            fix="Free space on the disk that holds .nbpipe, then run again; what is finished is kept.",
        )
    return StoreError(f"{name} cannot be read or written: {error.strerror or error}", name=name, fix="Run again.")
