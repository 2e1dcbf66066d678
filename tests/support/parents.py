"""Warm parents of a test of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nbpipe.executors import warm


@contextlib.contextmanager
def of_their_own() -> Iterator[Path]:
    """A folder for sockets, whose paths must be short. No parent that listens there as the block ends outlives it."""
    folder = Path(tempfile.mkdtemp(prefix="nb"))
    try:
        yield folder
    finally:
        for pid, _ in warm.parents():
            # It may be about to end by itself.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
