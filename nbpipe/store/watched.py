"""Work for many objects in several threads, given up as a whole once nothing of it moves any more.

A call that hangs cannot be ended: its thread is left to itself, and keeps no process from its end.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence

#: Seconds between two looks at what goes on.
_PAUSE = 1.0


class Watch:
    """What moves during one call. Safe to use from several threads."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._growing: dict[object, Callable[[], int]] = {}
        self._seen: dict[object, int] = {}
        self._over = False

    def moved(self, *_: object) -> None:
        """Say that something has moved. Raises TimeoutError in a thread that was left to itself, and wakes up again."""
        if self._over:
            raise TimeoutError("it was given up meanwhile")
        self._last = time.monotonic()

    @contextlib.contextmanager
    def growing(self, size: Callable[[], int]) -> Iterator[None]:
        """While it lasts, `size` is asked now and then: not everything says by itself what it has moved."""
        mark = object()
        self._growing[mark] = size
        try:
            yield
        finally:
            del self._growing[mark]
        self.moved()

    def silent(self) -> float:
        """Seconds since something moved."""
        return time.monotonic() - self._last

    def end(self) -> None:
        """Nobody waits any more."""
        self._over = True

    def look(self) -> None:
        """Ask for all sizes; another one than before counts as a move."""
        for mark, ask in list(self._growing.items()):
            with contextlib.suppress(Exception):
                size = ask()
                if size != self._seen.get(mark, 0):
                    self._seen[mark] = size
                    self.moved()


def for_each(names: Sequence[str], act: Callable[[str, Watch], None], *, at_once: int, silence: float) -> None:
    """Call `act`, which raises nothing, for every name. Raises TimeoutError once nothing has moved for `silence` seconds.

    An end of `act` is a move. What `act` does after that is nobody's concern.
    """
    watch, todo = Watch(), list(reversed(names))

    def work() -> None:
        with contextlib.suppress(IndexError, TimeoutError):
            while True:
                act(todo.pop(), watch)
                watch.moved()

    workers = [threading.Thread(target=work, daemon=True) for _ in range(min(len(todo), at_once))]
    for worker in workers:
        worker.start()
    looking: threading.Thread | None = None
    try:
        while busy := [worker for worker in workers if worker.is_alive()]:
            busy[0].join(min(_PAUSE, silence / 10))
            if watch.silent() > silence:
                raise TimeoutError
            if watch.silent() > silence / 4 and (looking is None or not looking.is_alive()):
                looking = threading.Thread(target=watch.look, daemon=True)
                looking.start()
    finally:
        watch.end()
        todo.clear()
