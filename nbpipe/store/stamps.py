"""What was verified before: a file that has not changed since need not be hashed again.

A stamp lives in the user's own cache folder, never in the store: whoever can write to a shared store could forge it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from nbpipe.store.base import hash_bytes, read_small

#: Two changes closer than this (nanoseconds) may carry the same time; the kernel's tick is at most 10 ms.
RESOLUTION = 20_000_000
#: Waiting out the resolution costs less than hashing a file of this size again.
LARGE = 16 << 20


class Stamps:
    """Stamps of one folder of objects. Losing them costs time only, so failing to write one is not an error."""

    def __init__(self, root: Path) -> None:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self._folder = base / "nbpipe" / "verified" / hash_bytes(str(root.absolute()).encode())[:16]

    def record(self, digest: str, path: Path, before: os.stat_result | None = None) -> None:
        """Remember that `path` matches `digest`, hashed after `before` was taken (or just written, if None)."""
        try:
            now = path.stat()
            if before is not None and _stamp(before) != _stamp(now):
                return
            wait = now.st_ctime_ns + RESOLUTION - time.time_ns()
            if wait > 0 and now.st_size < LARGE:
                return
            if 0 < wait <= RESOLUTION:
                time.sleep(wait / 1e9)
            target = self._folder / digest
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = target.with_name(f"{digest}.{os.getpid()}.{time.monotonic_ns()}")
            temporary.write_text(_stamp(now))
            temporary.replace(target)
        except OSError:
            return

    def holds(self, digest: str, path: Path) -> bool:
        """Whether `path` is, to the nanosecond, the file that was verified."""
        try:
            return read_small(f"{self._folder}/{digest}") == _stamp(path.stat()).encode()
        except OSError:
            return False


def _stamp(stat: os.stat_result) -> str:
    return f"{stat.st_dev} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
