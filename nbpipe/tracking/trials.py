"""Delivers trials to MLflow: each is a run of kind `trial` in the experiment of its notebook."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from nbpipe.tracking.mlflow import artifact_root, client
from nbpipe.tracking.projection import Projection, project_tag
from nbpipe.tracking.spool import Point
from nbpipe.tracking.trial import Trial, read_trial

SOURCE = "cell.py"


def deliver_trial(path: Path, project: Path) -> None:
    """Make MLflow show the trial in this file; one that is gone has nothing to show. Raises what MLflow raises when down."""
    trial = read_trial(path)
    if trial is None:
        return
    shown = Projection(client(project), trial.notebook or "notebook", artifact_root(project))
    identity = {
        "nbpipe.trial_id": trial.id,
        "nbpipe.project": project_tag(project),
        "nbpipe.created": f"{trial.started:.6f}",
        "nbpipe.kind": "trial",
    }
    run = shown.run(trial.id, identity, _tags(trial), started=trial.started)
    ended = trial.started + trial.seconds
    points = {name: (Point(int(ended * 1000), value),) for name, value in trial.metrics.items()}
    shown.log(run, params=trial.params, metrics=points)
    with tempfile.TemporaryDirectory(prefix="nbpipe-") as folder:
        source = Path(folder) / SOURCE
        source.write_text(trial.source, encoding="utf-8", errors="replace")
        shown.file(run, source)
        whole = Path(folder) / "trial.json"
        whole.write_bytes(msgspec.json.format(msgspec.json.encode(trial)))
        shown.file(run, whole)
    shown.end(run, trial.status, ended)


def _tags(trial: Trial) -> dict[str, str]:
    tags = {
        "nbpipe.stage": trial.stage,
        "nbpipe.status": trial.status,
        "nbpipe.kernel": trial.kernel,
        "nbpipe.code": trial.code,
        "nbpipe.host": trial.environment.get("host", ""),
        "mlflow.source.name": trial.notebook,
        "mlflow.source.type": "NOTEBOOK",
        "mlflow.source.git.commit": trial.environment.get("git", ""),
        "mlflow.user": trial.environment.get("user", ""),
        "nbpipe.failure": f"{trial.error.ename}: {trial.error.evalue}" if trial.error is not None else "",
    }
    return {name: text for name, text in tags.items() if text}
