"""One run, or one trial, in a few fields: a row of the history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from nbpipe.model import Failure

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
    #: Of the pipeline; of a trial the fingerprint of its code.
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


def delta(now: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """How much each metric that both have has grown."""
    return {name: value - before[name] for name, value in now.items() if name in before}
