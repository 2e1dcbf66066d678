"""A folder for one process, in the folder for temporary files; what killed processes left there goes with the next one."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "nbpipe-site-"
_HELD = "held"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder, gone afterwards. It is held by a lock beside it, which ends with this process."""
    _sweep(Path(tempfile.gettempdir()))
    base = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
    try:
        with (base / _HELD).open("wb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            folder = base / "project"
            folder.mkdir()
            yield folder
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _sweep(place: Path) -> None:
    """Remove this user's folders that nobody holds."""
    for base in place.glob(f"{_PREFIX}*"):
        try:
            if base.lstat().st_uid != os.getuid() or base.is_symlink():
                continue
            handle = os.open(base / _HELD, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            # Somebody is just making it, or was faster.
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(base, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(handle)
