"""One pipeline between two runs, run to the stage that gives the metric."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager

from nbpipe.errors import Interrupted, NbpipeError
from nbpipe.executors.base import Executor
from nbpipe.explain.deadline import Deadline, OutOfTimeError
from nbpipe.explain.hybrid import Hybrid
from nbpipe.explain.scratch import Workshop
from nbpipe.model import Event, Value
from nbpipe.run.api import RunResult, run_notebook
from nbpipe.run.project import find_project

_FINE = {"succeeded", "cached", "skipped"}


class Measured(Value, frozen=True, kw_only=True):
    """What a run gave: the metric, or None and the reason."""

    value: float | None = None
    reason: str = ""
    #: Stages that were not in the store.
    ran: tuple[str, ...] = ()
    seconds: float = 0.0


class Trials:
    """Runs pipelines between two runs, in folders of their own and untracked.

    `name` is what the store says their results come from. `listener` hears the events of each run.
    """

    def __init__(
        self,
        hybrid: Hybrid,
        workshop: Workshop,
        metric: str,
        *,
        name: str,
        store: str,
        executor: Executor,
        listener: Callable[[Event], None] | None = None,
    ) -> None:
        self._hybrid = hybrid
        self._workshop = workshop
        self._metric = metric
        self._name = name
        self._store = store
        self._executor = executor
        self._listener = listener

    def measure(self, swapped: AbstractSet[str], deadline: Deadline) -> Measured:
        """Run with these swaps made. Raises OutOfTimeError at the deadline, Interrupted where a person stopped it."""
        givers = self._hybrid.givers(swapped)
        twice = self._hybrid.ambiguous(swapped)
        if twice or not givers:
            return Measured(
                reason=f"two stages would be called '{twice}'" if twice else f"no stage gives {self._metric}"
            )
        if deadline.left <= 0:
            raise OutOfTimeError
        started = time.monotonic()
        try:
            with deadline.watched():
                result = self._run(swapped, givers[-1])
        except KeyboardInterrupt:
            if deadline.fired:
                raise OutOfTimeError from None
            raise
        except NbpipeError as error:
            return Measured(reason=" ".join(str(error).split()), seconds=time.monotonic() - started)
        if result.status == "cancelled":
            if deadline.fired:
                raise OutOfTimeError
            raise Interrupted("interrupted", fix="Nothing has changed; what was computed is kept for the next time.")
        return _measured(result, self._metric, time.monotonic() - started)

    def _run(self, swapped: AbstractSet[str], until: str) -> RunResult:
        with self._workshop.folder(self._hybrid.notebook(swapped), swapped) as path, _untracked():
            (find_project(path).runs / self._name).mkdir(parents=True)
            return run_notebook(
                path,
                params=self._hybrid.params(swapped),
                seed=self._hybrid.seed(swapped),
                until=until,
                store=self._store,
                executor=self._executor,
                run_id=self._name,
                listener=self._listener,
            )


def _measured(result: RunResult, metric: str, seconds: float) -> Measured:
    ran = tuple(stage.name for stage in result.stages if stage.status not in {"cached", "skipped", "waiting"})
    values = [stage.metrics[metric] for stage in result.stages if metric in stage.metrics]
    if result.status != "succeeded":
        broken = next((stage.name for stage in result.stages if stage.status not in _FINE), "")
        said = result.failure.message if result.failure is not None else result.status
        return Measured(reason=f"stage '{broken}': {said}" if broken else said, ran=ran, seconds=seconds)
    if not values:
        return Measured(reason=f"no stage gives {metric}", ran=ran, seconds=seconds)
    return Measured(value=values[-1], ran=ran, seconds=seconds)


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
