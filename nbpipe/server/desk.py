"""What the handlers of one server share: threads for work that blocks, and the bounds of what may be asked at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from nbpipe.server.changes import Changes
from nbpipe.server.logs import Merged
from nbpipe.server.refusals import Refused
from nbpipe.server.routes import Lane
from nbpipe.server.starting import Starting

T = TypeVar("T")

#: Threads per kind of work: a notebook that takes long to analyse must not keep the list of runs waiting.
_THREADS: dict[Lane, int] = {"reading": 4, "analysing": 2, "acting": 4}
#: Questions of a kind that may wait; beyond it they are refused.
_WAITING = 32
#: Seconds after which an answer is given up. The thread goes on: Python cannot end it.
PATIENCE = 60.0


class Desk:
    """Runs work in threads, so that the server's loop never waits.

    Responsibilities: bound how much is worked on at once, and how long an answer may take; bring events to the loop, where
    `emit` belongs. It must not know what is asked.
    """

    def __init__(self, emit: Callable[[dict[str, Any]], object], *, patience: float = PATIENCE) -> None:
        self.changes = Changes(self._send)
        self.starting = Starting()
        self.logs = Merged()
        self._emit = emit
        self._loop: asyncio.AbstractEventLoop | None = None
        self._patience = patience
        self._pools = {
            lane: ThreadPoolExecutor(number, thread_name_prefix=f"nbpipe-{lane}") for lane, number in _THREADS.items()
        }
        self._busy: dict[Lane, int] = dict.fromkeys(_THREADS, 0)

    async def work(self, lane: Lane, task: Callable[[], T]) -> T:
        """The result of `task`, which runs in a thread. Raises Refused where too much waits, or it takes too long."""
        if self._busy[lane] >= _WAITING:
            raise Refused(429, "busy", "too many questions at once", fix="Ask again in a moment.")
        self._busy[lane] += 1
        self._loop = asyncio.get_running_loop()
        future = self._loop.run_in_executor(self._pools[lane], task)
        future.add_done_callback(lambda _: self._done(lane))
        try:
            return await asyncio.wait_for(asyncio.shield(future), self._patience)
        except asyncio.TimeoutError:
            # What it comes to in the end is nobody's any more.
            future.add_done_callback(lambda late: late.cancelled() or late.exception())
            raise Refused(503, "timeout", f"there was no answer within {self._patience:g} seconds") from None

    def close(self) -> None:
        """Stop watching; take nothing on any more."""
        self.changes.stop()
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def _send(self, event: dict[str, Any]) -> None:
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._emit, event)
        except RuntimeError:
            # The loop is closed: the server is ending, and nobody hears events any more.
            self.changes.stop()

    def _done(self, lane: Lane) -> None:
        self._busy[lane] -= 1
