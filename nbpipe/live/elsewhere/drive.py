"""A run of one stage, whose inputs a kernel has given, in a thread beside the cell that waits for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

from nbpipe.plan.constraints import holds
from nbpipe.run.drive import Drive
from nbpipe.run.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbpipe.errors import NbpipeError
    from nbpipe.executors.fleet import Fleet
    from nbpipe.model import Failure, Pipeline, Stage, Trace
    from nbpipe.plan.resolve import Wanted
    from nbpipe.run.outcome import RunResult
    from nbpipe.run.settings import Settings


class CellEngine(Engine):
    """An engine whose results have to hold all that a kernel waits for, there or here."""

    is_there: Callable[[Trace], bool]

    @property
    def traces(self) -> Mapping[str, Trace]:
        """The results of this run's own stage: those above it are no run's."""
        return {name: trace for name, trace in super().traces.items() if self._selected(name)}

    def _look_up(self, stage: Stage, target: Wanted) -> tuple[Trace | None, tuple[str, ...]]:
        trace, reasons = super()._look_up(stage, target)
        if trace is None:
            trace = self._left(stage, target)
        if trace is None:
            return trace, reasons
        outcome = trace.outcome
        known = {*outcome.outputs, *outcome.observed, *outcome.unstored}
        missing = [name for name in self.place.spare if name not in known]
        return (None, (f"`{missing[0]}` was not kept",)) if missing else (trace, ())

    def _left(self, stage: Stage, target: Wanted) -> Trace | None:
        """A result that holds, and of which the target still has what it has kept."""
        if stage.options.cache == "never":
            return None
        found = self.place.store.left.lookup(target.key)
        return next(
            (one for one in found if holds(one, target, self._disk.as_of(target)) is None and self.is_there(one)), None
        )


class CellDrive(Drive):
    """Drives the run of a cell."""

    engine = CellEngine
    given: Mapping[str, Trace]
    #: Whether the cell's target still has what it has kept of a result.
    is_there: Callable[[Trace], bool]
    driven: Engine | None = None

    def _engine(self, pipeline: Pipeline, settings: Settings, fleet: Fleet) -> Engine:
        self.driven = engine = cast("CellEngine", super()._engine(pipeline, settings, fleet))
        engine.is_there = self.is_there
        for trace in self.given.values():
            self.driven.adopt(trace)
        return self.driven


class Driven:
    """The thread that drives. What it ended with stands in `result` or `error` once `alive` says no."""

    def __init__(self, drive: CellDrive, pipeline: Pipeline, settings: Settings, fleet: Fleet) -> None:
        self._drive = drive
        self._work = (pipeline, settings, fleet)
        self.result: RunResult | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="nbpipe-cell", daemon=True)
        self._stopping = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        try:
            found = self._drive.go(*self._work)
        except BaseException as error:  # noqa: BLE001 - raised where the cell waits
            self.error = error
        else:
            # Only a pipeline that may be merged asks for it, and this one may not.
            self.result = found if not isinstance(found, Exception) else None
            self.error = found if isinstance(found, Exception) else None

    def alive(self, seconds: float) -> bool:
        """Whether it is still at work, after that long at most."""
        self._thread.join(seconds)
        if self._stopping and self._drive.driven is not None:
            self._drive.driven.stopping = self._stopping
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask the job to stop; asked again, kill it."""
        self._stopping = "kill" if self._stopping else "ask"

    @property
    def traces(self) -> Mapping[str, Trace]:
        """The result of the stage, once there is one."""
        return self._drive.driven.traces if self._drive.driven is not None else {}

    @property
    def failure(self) -> NbpipeError | Failure | None:
        """Why the stage failed."""
        return self._drive.driven.failure if self._drive.driven is not None else None
