"""Logs of runs by offset, for several readers at once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from nbpipe.history.chunks import Chunk, Told, chunk

#: Logs whose order is remembered. A forgotten one is told stage after stage again.
_KEPT = 64
#: Most bytes of log for one answer.
LARGEST = 262_144


class Merged:
    """Remembers in which order the logs of a run were told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: OrderedDict[tuple[Path, str | None], tuple[Told, threading.Lock]] = OrderedDict()

    def read(self, folder: Path, stage: str | None, order: list[str], *, offset: int, limit: int) -> Chunk:
        """The text at `offset` of the log of the run in `folder`, of one stage or of all."""
        key = (folder, stage)
        with self._lock:
            told, busy = self._told.setdefault(key, (Told(), threading.Lock()))
            self._told.move_to_end(key)
            while len(self._told) > _KEPT:
                self._told.popitem(last=False)
        with busy:
            told.look(folder, stage, order)
            return chunk(told, max(offset, 0), max(1, min(limit, LARGEST)))

    def forget(self, folder: Path) -> None:
        """The run is gone; another one may get its folder."""
        with self._lock:
            for key in [key for key in self._told if key[0] == folder]:
                del self._told[key]
