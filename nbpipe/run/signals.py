"""Ctrl-C and SIGTERM as a wish to stop in good order."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Stoppable(Protocol):
    """What looks at `stopping` all the time: "" to go on, "ask" to stop in good order, "kill" to kill what runs."""

    stopping: str


@contextmanager
def stopped_by_signals(what: Stoppable) -> Iterator[None]:
    """Ctrl-C once asks it to stop, twice kills; SIGTERM asks. Only the main thread may listen: in others nothing is heard."""

    def stop(number: int, _frame: Any) -> None:
        what.stopping = "kill" if what.stopping and number == signal.SIGINT else what.stopping or "ask"

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
