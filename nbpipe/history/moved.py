"""What moved in a project since the last look: runs by their journals, trials by their files. Reads no more than that."""

from __future__ import annotations

import time
from typing import NamedTuple

from nbpipe.history.trials import trial_folder, trial_ids
from nbpipe.run import record as records
from nbpipe.run.journal import JOURNAL
from nbpipe.run.project import Project
from nbpipe.tracking.notes import NOTES

#: Newest runs that are looked at: older ones are over. Most trials that one look tells of.
_NEWEST = 64
#: Two changes closer than this (nanoseconds) may carry the same time: such a time says nothing yet.
_RESOLUTION = 1_000_000_000


class Moved(NamedTuple):
    """What is other than at the last look; newest first."""

    #: Runs that are new, went on, got other tags, or lost what drove them.
    runs: list[str]
    #: Runs that were deleted.
    gone: list[str]
    #: Trials that are new.
    trials: list[str]


class _Mark(NamedTuple):
    """A journal only grows: its size says whether a run moved on."""

    size: int
    changed: int
    #: Time of the last change of its tags.
    noted: int


class Newest:
    """The newest runs and trials of one project, as they were seen last. What is there at first has not moved."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._listed = 0
        self._known: list[str] = []
        self._seen = self._marks()
        self._running = {run for run in self._seen if self._lives(run)}
        self._written = self._trials_written()
        self._trial = _number(next(iter(trial_ids(project)), "t0"))

    def look(self) -> Moved:
        """What moved since the last look."""
        before, self._seen = self._seen, self._marks()
        moved = [run for run, mark in self._seen.items() if before.get(run) != mark]
        lost = [run for run in self._running if run not in moved and run in self._seen and not self._lives(run)]
        gone = [run for run in before if run not in self._seen and not (self._project.runs / run).is_dir()]
        self._running -= {*lost, *gone}
        self._running |= {run for run in moved if self._lives(run)}
        return Moved([*moved, *lost], gone, self._new_trials())

    def size(self, run: str) -> int:
        """Bytes of its journal at the last look: they only grow."""
        return self._seen[run].size

    def _lives(self, run: str) -> bool:
        record = records.read(self._project.runs / run)
        return record is not None and record.status == "running" and records.is_alive(record)

    def _marks(self) -> dict[str, _Mark]:
        found = {}
        for run in self._names():
            folder = self._project.runs / run
            try:
                journal = (folder / JOURNAL).stat()
            except OSError:
                continue
            try:
                noted = (folder / NOTES).stat().st_mtime_ns
            except OSError:
                noted = 0
            found[run] = _Mark(journal.st_size, journal.st_mtime_ns, noted)
        return found

    def _names(self) -> list[str]:
        """The list is read again only where it changed: there may be ten thousand runs."""
        try:
            changed = self._project.runs.stat().st_mtime_ns
        except OSError:
            changed = -1
        if changed != self._listed or time.time_ns() - changed < _RESOLUTION:
            self._listed, self._known = changed, self._project.run_ids()[:_NEWEST]
        return self._known

    def _new_trials(self) -> list[str]:
        written = self._trials_written()
        if written == self._written and time.time_ns() - written > _RESOLUTION:
            return []
        self._written = written
        new = [trial for trial in trial_ids(self._project)[:_NEWEST] if _number(trial) > self._trial]
        self._trial = max([self._trial, *map(_number, new)])
        return new

    def _trials_written(self) -> int:
        """When the folder of trials last got an entry, or lost one."""
        try:
            return trial_folder(self._project).stat().st_mtime_ns
        except OSError:
            return 0


def _number(trial: str) -> int:
    return int(trial.removeprefix("t"))
