"""Whether somebody still drives a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from nbpipe.run import record as records

#: Seconds in which a new run may not have written its record yet.
_YOUNG = 60.0

Alive = Callable[[Path], bool]


def is_alive(folder: Path) -> bool:
    """Whether the process that drives the run of this folder lives."""
    record = records.read(folder)
    if record is not None:
        return records.is_alive(record)
    try:
        return time.time() - folder.stat().st_mtime < _YOUNG
    except OSError:
        return False
