"""Rows of the history, made from what lies in the folders of runs and in the files of trials."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.history.summary import RunSummary
from nbpipe.model import Failure
from nbpipe.run.state import RunState
from nbpipe.tracking.notes import read_notes
from nbpipe.tracking.trial import Trial, read_trial

_BROKEN = ("failed", "rejected", "timeout", "lost")


def run_row(folder: Path, state: RunState) -> RunSummary:
    """The row of the run in `folder`. An empty journal gives a row that says little."""
    made = _environment(folder)
    git = made.get("git")
    commit = git.get("commit") if isinstance(git, dict) else ""
    return RunSummary(
        run=folder.name,
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
        metrics={name: number for name, number in state.metrics.items() if _is_number(number)},
        stages=dict(Counter[str](stage.status for stage in state.stages)),
        broken=tuple(stage.name for stage in state.stages if stage.status in _BROKEN),
        failure=state.failure,
        warnings=len(state.warnings),
        user=str(made.get("user") or ""),
        commit=str(commit or "").lower(),
        tags=read_notes(folder).shown,
    )


def read_trial_row(path: Path) -> RunSummary | None:
    """The row of the trial in a file; None where it cannot be read (yet)."""
    trial = read_trial(path)
    return trial_row(trial) if trial is not None else None


def trial_row(trial: Trial) -> RunSummary:
    """The row of a trial."""
    failure = None
    if trial.error is not None:
        said = ": ".join(part for part in (trial.error.ename, trial.error.evalue) if part)
        failure = Failure(code="user-code", message=said, line=trial.error.line)
    return RunSummary(
        run=trial.id,
        status=trial.status,
        kind="trial",
        notebook=trial.notebook,
        name=Path(trial.notebook).stem,
        version=trial.code,
        stage=trial.stage,
        started=trial.started,
        ended=trial.started + trial.seconds,
        seconds=trial.seconds,
        params=trial.params,
        metrics={name: number for name, number in trial.metrics.items() if _is_number(number)},
        failure=failure,
        user=trial.environment.get("user", ""),
        commit=trial.environment.get("git", "").lower(),
    )


def _environment(folder: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode((folder / "environment.json").read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        return {}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
