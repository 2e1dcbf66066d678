"""Watches the runs of a project while somebody looks, and tells the front-end which rows have changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from nbpipe.errors import UsageError
from nbpipe.history.moved import Newest
from nbpipe.history.query import detail
from nbpipe.history.rows import read_trial_row
from nbpipe.history.trials import trial_folder
from nbpipe.run.project import Project
from nbpipe.ui.rows import run_row
from nbpipe.ui.views import RunRow

#: Seconds between two looks, and for which a sign of life from the front-end counts.
INTERVAL = 0.5
LEASE = 600.0

Send = Callable[[dict[str, Any]], None]


class Watch:
    """One thread while a view is open: `open` starts it, `close` or ten minutes without a sign of life end it.

    Responsibilities: send the rows of runs that moved on and of new trials, which need no answer from a kernel that is
    busy. It must not read more of a run than its journal.
    """

    def __init__(self, project: Project, send: Send, *, interval: float = INTERVAL, lease: float = LEASE) -> None:
        self._project = project
        self._send = send
        self._interval = interval
        self._lease = lease
        self._until = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._newest: Newest | None = None

    def hear(self, content: object) -> None:
        """A message of the front-end: `open` and `close` say whether somebody looks."""
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "open":
            self.start()
        elif kind == "close":
            self.stop()

    def start(self) -> None:
        """Watch from now on; if it does, for longer."""
        with self._lock:
            self._until = time.monotonic() + self._lease
            if self._thread is not None and self._thread.is_alive():
                return
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._go, args=(self._stop,), name="nbpipe-watch", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop watching. Safe to repeat."""
        with self._lock:
            self._stop.set()

    def _go(self, stop: threading.Event) -> None:
        self._newest = newest = Newest(self._project)
        while not stop.wait(self._interval):
            with self._lock:
                if time.monotonic() > self._until:
                    self._thread = None
                    return
            moved = newest.look()
            rows = [*self._trials(moved.trials), *self._runs(moved.runs)]
            if rows or moved.gone:
                self._send({"kind": "changed", "rows": msgspec.to_builtins(rows), "gone": bool(moved.gone)})

    def _runs(self, runs: list[str]) -> list[RunRow]:
        rows = []
        for run in runs:
            try:
                rows.append(run_row(detail(self._project, run).summary))
            except UsageError:  # deleted since: the next look says so
                continue
        return rows

    def _trials(self, trials: list[str]) -> list[RunRow]:
        folder = trial_folder(self._project)
        found = (read_trial_row(folder / f"{trial}.json") for trial in trials)
        return [run_row(trial) for trial in found if trial is not None]
