"""Histories made without running anything: journals and records as runs leave them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbpipe.run import record as records
from nbpipe.run.journal import Journal
from nbpipe.run.project import Project


def past_run(
    project: Project,
    number: int,
    *,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    status: str = "succeeded",
    name: str = "digits",
    stages: tuple[str, ...] = ("load", "train"),
) -> str:
    """A finished run; its metrics are those of its last stage."""
    run = f"r{number}"
    folder = project.runs / run
    folder.mkdir(parents=True)
    (project.state / ".gitignore").write_text("*\n")
    journal = Journal(folder)
    about: dict[str, Any] = {
        "id": run,
        "notebook": f"{name}.ipynb",
        "name": name,
        "version": f"{number:064x}",
        "number": 1,
    }
    listed = [{"name": stage, "kind": "stage"} for stage in stages]
    journal.append("run-started", **about, params=dict(params), given=list(params)[:1], stages=listed)
    for stage in stages:
        last = stage == stages[-1]
        journal.append("stage-started", stage=stage, attempt=1, reasons=["first run"])
        if last and status == "failed":
            failure = {"code": "user-code", "message": "ValueError: no", "cell": 2, "line": 1}
            journal.append("stage-ended", stage=stage, attempt=1, status="failed", failure=failure, seconds=0.2)
        else:
            shown = dict(metrics) if last else {}
            journal.append("stage-succeeded", stage=stage, attempt=1, key="", metrics=shown, seconds=0.5)
    journal.append("run-finished", status=status, exit_code=0, failure=None)
    journal.close()
    record = records.Record(**about, status=status, params=dict(params), created=time.time())
    records.write(folder, record)
    return run


def past_runs(folder: Path, count: int) -> Project:
    """A project with `count` runs whose parameters and metrics differ; every seventh failed."""
    (folder / "nbpipe.toml").touch()
    project = Project(folder)
    for n in range(1, count + 1):
        failed = n % 7 == 0
        past_run(
            project,
            n,
            params={"lr": round(0.001 * n, 6), "model": "cnn" if n % 2 else "mlp"},
            metrics={} if failed else {"acc": round(0.5 + 0.4 * n / count, 6), "loss": round(2 / n, 6)},
            status="failed" if failed else "succeeded",
        )
    return project
