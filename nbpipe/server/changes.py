"""Tells the lab which runs moved on, whoever started them: the journals are watched while somebody looks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from nbpipe.errors import NbpipeError
from nbpipe.history.moved import Newest
from nbpipe.history.query import detail
from nbpipe.run.project import Project

#: Seconds between two looks, and for which a question about a project counts as a look at it.
INTERVAL = 0.25
LEASE = 600.0

_log = logging.getLogger(__name__)

Send = Callable[[dict[str, Any]], None]


class Changes:
    """One thread for all projects that somebody asked about in the last ten minutes.

    Responsibilities: see which of the newest runs are new, moved on, lost their driver or are gone, and send an event for
    each. It must not read more of a run than its journal, nor send names or values of parameters.
    """

    def __init__(self, send: Send, *, interval: float = INTERVAL, lease: float = LEASE) -> None:
        self._send = send
        self._interval = interval
        self._lease = lease
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._watched: dict[Project, _Watched] = {}

    def look_at(self, project: Project, shown: str) -> None:
        """Somebody looks at this project; `shown` names it in the events."""
        until = time.monotonic() + self._lease
        with self._lock:
            known = project in self._watched
        # What is there already has not changed; looking takes a moment, and nobody else need wait for it.
        fresh = None if known else _Watched(project, shown, until)
        with self._lock:
            if fresh is not None:
                self._watched.setdefault(project, fresh)
            if project in self._watched:
                self._watched[project].until = until
            if (self._thread is None or not self._thread.is_alive()) and not self._stop.is_set():
                self._thread = threading.Thread(target=self._go, name="nbpipe-changes", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Watch no more. Safe to repeat."""
        self._stop.set()

    def _go(self) -> None:
        while not self._stop.wait(self._interval):
            now = time.monotonic()
            with self._lock:
                for project in [project for project, each in self._watched.items() if each.until < now]:
                    del self._watched[project]
                if not self._watched:
                    self._thread = None
                    return
                watched = list(self._watched.items())
            for project, each in watched:
                self._tell(project, each)

    def _tell(self, project: Project, watched: _Watched) -> None:
        try:
            for event in watched.changes():
                self._send(event)
        except Exception:  # noqa: BLE001 - it is logged
            # Whatever is wrong with one project, the others are told of. The next question about it begins anew.
            _log.exception("%s is not watched any more", project.root)
            with self._lock:
                self._watched.pop(project, None)


class _Watched:
    """The newest runs of one project, as they were seen last."""

    def __init__(self, project: Project, shown: str, until: float) -> None:
        self.until = until
        self._project = project
        self._shown = shown
        self._newest = Newest(project)

    def changes(self) -> list[dict[str, Any]]:
        """An event per run that changed since the last look."""
        moved = self._newest.look()
        events = [event for run in moved.runs if (event := self._event(run)) is not None]
        return events + [{"project": self._shown, "run": run, "status": "deleted", "rev": 0} for run in moved.gone]

    def _event(self, run: str) -> dict[str, Any] | None:
        try:
            state = detail(self._project, run).state
        except NbpipeError:  # deleted since: the next look says so
            return None
        stages = [stage.name for stage in state.stages if stage.status == "running"]
        event = {"project": self._shown, "run": run, "status": state.status, "rev": self._newest.size(run)}
        return {**event, "stage": stages[-1]} if stages else event
