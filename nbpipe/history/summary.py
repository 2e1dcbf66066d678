"""One run, or one trial, in a few fields: a row of the history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from nbpipe.model import Failure
from nbpipe.run.state import RunState

Status = Literal["running", "succeeded", "failed", "rejected", "cancelled", "interrupted"]
Kind = Literal["run", "trial"]


class RunSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row of the history. Times are seconds since the epoch, durations seconds."""

    #: `r43`; `t7` for a trial; `r43@3f9c2e1a` for a run that is known from MLflow alone.
    run: str
    status: Status
    kind: Kind = "run"
    #: Path of the source notebook, as the run recorded it.
    notebook: str = ""
    #: Name of the pipeline.
    name: str = ""
    version: str = ""
    #: Running number of the version, per notebook; 0 when it has none.
    number: int = 0
    #: The stage, of a trial.
    stage: str = ""
    started: float = 0.0
    ended: float = 0.0
    seconds: float = 0.0
    params: dict[str, Any] = {}
    #: Names of the parameters that differ from the notebook because the run was given them.
    given: tuple[str, ...] = ()
    metrics: dict[str, float] = {}
    #: Stage status -> how many stages have it.
    stages: dict[str, int] = {}
    #: Names of stages that failed, were rejected, timed out or were lost.
    broken: tuple[str, ...] = ()
    failure: Failure | None = None
    warnings: int = 0
    #: Who started it, as the machine knew them.
    user: str = ""
    #: Git commit of the project, full; "" where it is not known.
    commit: str = ""
    #: What people noted with `nbpipe tag`.
    tags: dict[str, str] = {}
    #: Where the row was read: "" from this project's own folders, "mlflow" from a tracking server alone.
    source: str = ""
    #: Id of the MLflow run, where the row was read from there.
    mlflow: str = ""

    @property
    def finished(self) -> bool:
        """Its journal has an end. An interrupted run without one may still get it: see `nbpipe.run.recovery`."""
        return self.ended > 0


def summarize(run: str, state: RunState) -> RunSummary:
    """The row of the run with the id `run`. An empty journal gives a row that says little."""
    bad = ("failed", "rejected", "timeout", "lost")
    return RunSummary(
        run=run,
        status=state.status,
        notebook=state.notebook,
        name=state.name or Path(state.notebook).stem,
        version=state.version,
        number=state.number,
        started=state.started,
        ended=state.ended,
        seconds=state.seconds,
        params=state.params,
        given=state.given,
        metrics=state.metrics,
        stages=dict(Counter[str](stage.status for stage in state.stages)),
        broken=tuple(stage.name for stage in state.stages if stage.status in bad),
        failure=state.failure,
        warnings=len(state.warnings),
    )


def delta(now: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """How much each metric that both have has grown."""
    return {name: value - before[name] for name, value in now.items() if name in before}
