"""Follows the run of a process that was started here, from its journal."""

from __future__ import annotations

import time
from collections.abc import Callable

from nbpipe.history.query import detail
from nbpipe.run import record as records
from nbpipe.run.journal import JOURNAL
from nbpipe.run.project import Project
from nbpipe.ui.rows import progress_view
from nbpipe.ui.views import ProgressView

#: Newest runs that are looked at for one of this process.
_NEWEST = 8


class Follow:
    """Finds the run that a process drives, and calls `show` with each state of it. Must not draw."""

    def __init__(self, project: Project, show: Callable[[ProgressView], None]) -> None:
        self._project = project
        self._show = show
        self._before = set(project.run_ids())
        self._run = ""
        self._size = 0

    def beat(self, pid: int) -> None:
        """Look again, on behalf of the process with this id."""
        self._run = self._run or self._find(pid)
        if not self._run:
            return
        try:
            size = (self._project.runs / self._run / JOURNAL).stat().st_size
        except FileNotFoundError:
            return
        if size != self._size:
            self._size = size
            found = detail(self._project, self._run)
            self._show(progress_view(found.summary, found.state, time.time()))

    def _find(self, pid: int) -> str:
        for run in self._project.run_ids()[:_NEWEST]:
            record = records.read(self._project.runs / run) if run not in self._before else None
            if record is not None and record.pid == pid:
                return run
        return ""
