"""One pipeline between two runs, run to the stage that gives the metric."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path

from nbpipe.errors import Interrupted, NbpipeError
from nbpipe.executors.base import Executor
from nbpipe.explain.hybrid import Hybrid
from nbpipe.explain.scratch import Workshop
from nbpipe.model import Event, Value
from nbpipe.run.api import RunResult, run_notebook


class Measured(Value, frozen=True, kw_only=True):
    """What a run gave: the metric, or None and the reason."""

    value: float | None = None
    reason: str = ""
    ran: tuple[str, ...] = ()
    seconds: float = 0.0


class OutOfTimeError(Exception):
    """The budget is used up."""


class Deadline:
    """The end of the budget. A run that is under way then is stopped as by Ctrl-C."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds
        self.fired = False

    @property
    def left(self) -> float:
        """Seconds, 0 at least."""
        return max(self._end - self._clock(), 0.0)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While inside, the end of the budget interrupts; only the main thread can be."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        timer = threading.Timer(min(self.left, threading.TIMEOUT_MAX), self._fire)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _fire(self) -> None:
        self.fired = True
        os.kill(os.getpid(), signal.SIGINT)


def measure(  # noqa: PLR0913 - what a run needs
    hybrid: Hybrid,
    workshop: Workshop,
    swapped: AbstractSet[str],
    metric: str,
    deadline: Deadline,
    *,
    name: str,
    store: str,
    executor: Executor,
    listener: Callable[[Event], None] | None = None,
) -> Measured:
    """Run it. `name` is what the store will say the results come from.

    Raises OutOfTimeError at the deadline, Interrupted where a person stopped it.
    """
    givers = hybrid.stage_names(swapped)
    if not givers:
        return Measured(reason=f"no stage gives {metric}")
    if deadline.left <= 0:
        raise OutOfTimeError
    started = time.monotonic()
    with workshop.folder(hybrid.notebook(swapped), swapped) as path, _untracked():
        (path_of_runs(path) / name).mkdir(parents=True)
        try:
            with deadline.watched():
                result = run_notebook(
                    path,
                    params=hybrid.params(swapped),
                    seed=hybrid.seed(swapped),
                    until=givers[-1],
                    store=store,
                    executor=executor,
                    run_id=name,
                    listener=listener,
                )
        except KeyboardInterrupt:
            if deadline.fired:
                raise OutOfTimeError from None
            raise
        except NbpipeError as error:
            return Measured(reason=str(error).replace("\n", " "), seconds=time.monotonic() - started)
    if result.status == "cancelled":
        if deadline.fired:
            raise OutOfTimeError
        raise Interrupted("interrupted")
    return _measured(result, metric, time.monotonic() - started)


def path_of_runs(notebook: Path) -> Path:
    """Where the runs of a notebook's project lie."""
    from nbpipe.run.project import find_project

    return find_project(notebook).runs


def _measured(result: RunResult, metric: str, seconds: float) -> Measured:
    ran = tuple(stage.name for stage in result.stages if stage.status not in {"cached", "skipped", "waiting"})
    values = [stage.metrics[metric] for stage in result.stages if metric in stage.metrics]
    reason = ""
    if result.status != "succeeded":
        failure = result.failure
        broken = next(
            (stage.name for stage in result.stages if stage.status not in {"cached", "succeeded", "skipped"}), ""
        )
        said = failure.message if failure is not None else result.status
        reason = f"{broken}: {said}" if broken else said
    elif not values:
        reason = f"no stage gives {metric}"
    value = values[-1] if values and not reason else None
    return Measured(value=value, reason=reason, ran=ran, seconds=seconds)


@contextmanager
def _untracked() -> Iterator[None]:
    """These runs are nobody's: they are not delivered to MLflow."""
    before = os.environ.get("NBPIPE_TRACKING")
    os.environ["NBPIPE_TRACKING"] = "off"
    try:
        yield
    finally:
        if before is None:
            del os.environ["NBPIPE_TRACKING"]
        else:
            os.environ["NBPIPE_TRACKING"] = before
