"""What a run says when the disk refuses."""

from __future__ import annotations

import errno
from pathlib import Path

from nbpipe.errors import StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MAY_NOT = {errno.EROFS, errno.EACCES, errno.EPERM}
_MAY_NOT_FIX = "Make it writable for yourself, or copy the project to a folder that you may write to."


def refused(path: Path | str, error: OSError) -> StoreError:
    """A StoreError in plain words. `path` is what was to be written, if the error itself does not say."""
    name = str(error.filename or path)
    if error.errno in _FULL:
        return StoreError(
            f"the disk is full: {name} cannot be written",
            name=name,
            fix="Free space on the disk that holds .nbpipe, then run again; what is finished is kept.",
        )
    fix = _MAY_NOT_FIX if error.errno in _MAY_NOT else "Run again."
    return StoreError(f"{name} cannot be read or written: {error.strerror or error}", name=name, fix=fix)


def is_refusal(error: OSError) -> bool:
    """The disk refuses: it is full, read-only, or not this user's. Else the error may well be a mistake of nbpipe."""
    return error.errno in _FULL | _MAY_NOT
