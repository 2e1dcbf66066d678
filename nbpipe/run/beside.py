"""Runs of one process that go on side by side in one project: whether one wrote a file that another used meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

#: What a job has written by now, by its folder.
Written = Callable[[Path], Iterable[Path]]


@dataclass
class _Job:
    lane: Lane
    written: Written
    #: What other runs wrote since it began.
    spoiled: set[Path] = field(default_factory=set)


class Beside:
    """All of them. Safe to use from several threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.jobs: dict[Path, _Job] = {}

    def lane(self) -> Lane:
        """The part of one run."""
        return Lane(self)


class Lane:
    """One run among those that go on side by side. Paths are absolute."""

    def __init__(self, beside: Beside | None = None) -> None:
        self._beside = beside or Beside()
        #: Another run wrote something while a job of this one ran: how that ended may be due to it.
        self.crossed = False
        #: A file that a job used while another run wrote it: nothing that this run made of it holds.
        self.mixed: Path | None = None

    def started(self, folder: Path, written: Written) -> None:
        """A job of this run begins."""
        with self._beside.lock:
            self._beside.jobs[folder] = _Job(self, written)

    def wrote(self, paths: Iterable[Path]) -> None:
        """Files were put in place by the run itself."""
        with self._beside.lock:
            self._spoil(set(paths))

    def used(self, folder: Path, paths: Iterable[Path]) -> Path | None:
        """A file, of those that an ended job used, that another run wrote meanwhile. A folder is used by its names."""
        with self._beside.lock:
            own = self._beside.jobs.get(folder)
            if own is None:
                return None
            others = set(own.spoiled)
            for place, job in self._beside.jobs.items():
                if job.lane is not self:
                    others.update(job.written(place))
        self.crossed = self.crossed or bool(others)
        listed = others | {path.parent for path in others}
        self.mixed = next((path for path in sorted(paths) if path in listed), self.mixed)
        return self.mixed

    def over(self, folder: Path, written: Iterable[Path] = ()) -> None:
        """A job of this run has ended, what it wrote is committed or undone; `written` is what only its verdict says."""
        with self._beside.lock:
            own = self._beside.jobs.pop(folder, None)
            if own is not None:
                self._spoil({*own.written(folder), *written})

    def _spoil(self, paths: set[Path]) -> None:
        for job in self._beside.jobs.values():
            if job.lane is not self:
                job.spoiled |= paths
