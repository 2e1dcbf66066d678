"""Watches the runs of a project while somebody looks, and tells the front-end which rows have changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from nbpipe.history.query import detail
from nbpipe.run.journal import JOURNAL
from nbpipe.run.project import Project
from nbpipe.ui.rows import run_row

#: Seconds between two looks, and for which a sign of life from the front-end counts.
INTERVAL = 0.5
LEASE = 600.0
#: Newest runs that are looked at: older ones are over.
_NEWEST = 64

Send = Callable[[dict[str, Any]], None]


class Watch:
    """One thread while a view is open: `open` starts it, `close` or ten minutes without a sign of life end it.

    Responsibilities: see which of the newest runs are new or moved on; send their rows, which need no answer from a
    kernel that is busy. It must not read more of a run than its journal.
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
        self._seen: dict[str, tuple[int, int]] = {}

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
        self._seen = self._look()
        while not stop.wait(self._interval):
            with self._lock:
                if time.monotonic() > self._until:
                    self._thread = None
                    return
            seen, self._seen = self._seen, self._look()
            changed = [run for run, mark in self._seen.items() if seen.get(run) != mark]
            gone = any(not (self._project.runs / run).is_dir() for run in seen if run not in self._seen)
            rows = [run_row(detail(self._project, run).summary) for run in changed]
            if rows or gone:
                self._send({"kind": "changed", "rows": msgspec.to_builtins(rows), "gone": gone})

    def _look(self) -> dict[str, tuple[int, int]]:
        """Size and time of the newest journals: a journal only grows, so they say whether a run moved on."""
        found = {}
        for run in self._project.run_ids()[:_NEWEST]:
            try:
                about = (self._project.runs / run / JOURNAL).stat()
            except FileNotFoundError:
                continue
            found[run] = (about.st_size, about.st_mtime_ns)
        return found
