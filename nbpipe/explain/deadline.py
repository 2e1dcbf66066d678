"""The end of the budget."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds in which a signal that was sent arrives.
_ARRIVES = 0.05


class OutOfTimeError(Exception):
    """The budget is used up."""


class Deadline:
    """Counts down from its making. A run that is under way at the end is stopped as by Ctrl-C."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds
        self._lock = threading.Lock()
        self._armed = False
        #: It has interrupted something.
        self.fired = False

    @property
    def left(self) -> float:
        """Seconds; 0 at least."""
        return max(self._end - self._clock(), 0.0)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, the end raises KeyboardInterrupt unless something else listens to that signal.

        Only in the main thread, the only one that can be interrupted.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        timer = threading.Timer(min(self.left, threading.TIMEOUT_MAX), self._fire)
        timer.daemon = True
        self._armed = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._lock:
                self._armed = False
            if self.fired:
                # What was sent must not arrive later, in somebody else's work.
                time.sleep(_ARRIVES)

    def _fire(self) -> None:
        with self._lock:
            if self._armed:
                self.fired = True
                os.kill(os.getpid(), signal.SIGINT)
