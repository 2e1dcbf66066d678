"""A sweep for programs; see `docs/formats/cli-json.md`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbpipe.sweep.api import SweepResult
    from nbpipe.sweep.study import Trial


def sweep_shape(result: SweepResult) -> dict[str, Any]:
    """The last line."""
    from nbpipe.cli.shapes import SCHEMA

    study = result.study
    return {
        "schema": SCHEMA,
        "study": study.name,
        "status": study.status,
        "exit_code": result.exit_code,
        "pipeline": study.spec.name,
        "version": study.spec.version,
        "metrics": {goal.metric: goal.direction for goal in study.spec.goals},
        "sampler": study.spec.sampler,
        "best": [trial_shape(trial) for trial in study.best],
        "trials": [trial_shape(trial) for trial in study.trials],
        "promoted": list(result.promoted) if result.promoted is not None else None,
        "reason": result.stopped_for,
    }


def trial_shape(trial: Trial) -> dict[str, Any]:
    """One trial."""
    return {
        "number": trial.number,
        "status": trial.status,
        "run": trial.run or None,
        "params": trial.params,
        "metrics": trial.metrics,
        "feasible": trial.is_feasible,
        "seconds": round(trial.seconds, 3),
        "reason": trial.reason,
    }
