"""One thread that does the work of recording while no cell runs: bounded, never waited for, never heard of."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: Items that may wait; more are dropped, and counted.
LIMIT = 256
#: Seconds between the end of a cell and the work on its record: the front-end's answer goes first.
_SETTLE = 0.05
#: Seconds for which work waits while cells run one after the other.
_PATIENCE = 0.5


class Recorder(Generic[T]):
    """Hands items to `work` in another thread, in order.

    Responsibilities: `put` costs microseconds, whatever happens; an error of `work` is counted and its text kept. Must
    not: raise, wait for the disk in the caller's thread, or keep a process alive.
    """

    def __init__(self, work: Callable[[T], None], *, limit: int = LIMIT) -> None:
        self._work = work
        self._limit = limit
        self._items: deque[T] = deque()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._process = os.getpid()
        self._hurry = False
        self._working = False
        #: A cell runs now: set by the session.
        self.busy = False
        self.done = 0
        self.dropped = 0
        self.failed = 0
        #: What the last failure said.
        self.trouble = ""

    def put(self, item: T) -> None:
        """Leave the item to the thread; dropped and counted when too many wait."""
        if len(self._items) >= self._limit:
            self.dropped += 1
            return
        self._items.append(item)
        if self._thread is None or self._process != os.getpid():
            self._start()
        if not self._wake.is_set():
            self._wake.set()

    def fail(self, error: Exception) -> None:
        """Count an error. Its text is told by its type alone where telling it would run code of the user's."""
        self.failed += 1
        known = isinstance(error, OSError) or type(error).__module__.startswith(("nbpipe.", "builtins", "msgspec"))
        self.trouble = f"{type(error).__name__}: {error}" if known else type(error).__name__

    def drain(self, seconds: float) -> bool:
        """Wait until everything is done, that long at most; whether it is."""
        end = time.monotonic() + seconds
        self._hurry = True
        self._wake.set()
        try:
            while (self._items or self._working) and self._alive():
                if time.monotonic() > end:
                    return False
                time.sleep(0.005)
        finally:
            self._hurry = False
        return not self._items

    def _alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive() and self._process == os.getpid()

    def _start(self) -> None:
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="nbpipe-trials", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._working = True
            if not self._hurry:
                time.sleep(_SETTLE)
            try:
                while self._items:
                    self._wait_for_quiet()
                    self._one(self._items.popleft())
            finally:
                self._working = False
            self._wake.clear()
            # An item may have come between the last look and the clearing.
            if self._items:
                self._wake.set()

    def _one(self, item: T) -> None:
        try:
            self._work(item)
        except Exception as error:  # noqa: BLE001 - a record that cannot be made must not end the thread; it is counted
            self.fail(error)
        else:
            self.done += 1

    def _wait_for_quiet(self) -> None:
        """Until no cell runs; not for ever."""
        end = time.monotonic() + _PATIENCE
        while self.busy and not self._hurry and time.monotonic() < end:
            time.sleep(_SETTLE / 10)
