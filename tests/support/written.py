"""Runs as the engine writes them, without running anything."""

from __future__ import annotations

import json
import time
from typing import Any

from nbpipe.run import record as records
from nbpipe.run.journal import Journal
from nbpipe.run.project import Project


def write_run(
    project: Project,
    *,
    name: str = "digits",
    status: str | None = "succeeded",
    metrics: dict[str, float] | None = None,
    params: dict[str, Any] | None = None,
    environment: dict[str, Any] | None = None,
    pid: int = 0,
) -> str:
    """A run of one stage and a check; without a status it has no end."""
    run = project.new_run()
    folder = project.runs / run
    journal = Journal(folder)
    record = records.Record(
        id=run, notebook=f"{name}.ipynb", name=name, version="abcdef0", created=time.time(), pid=pid
    )
    record.params = {"lr": 0.1} if params is None else params
    record.number = 3
    record.process_started = records.process_start(pid) if pid else 0
    stages = [{"name": "train", "kind": "stage"}, {"name": "gate", "kind": "check"}]
    journal.append(
        "run-started",
        id=run,
        notebook=f"{name}.ipynb",
        name=name,
        version="abcdef0",
        number=3,
        params=record.params,
        stages=stages,
    )
    if environment is not None:
        (folder / "environment.json").write_text(json.dumps(environment))
    journal.append("stage-started", stage="train", attempt=1, reasons=["first run"], expected=None)
    if status is not None:
        failure = {"code": "user-code", "message": "boom", "cell": 4} if status == "failed" else None
        if status == "failed":
            journal.append("stage-ended", stage="train", attempt=1, status="failed", failure=failure, seconds=1.0)
        else:
            journal.append("stage-succeeded", stage="train", attempt=1, seconds=1.5, metrics=metrics or {})
        journal.append("run-finished", status=status, exit_code=0, failure=failure)
        record.status = status
    journal.close()
    records.write(folder, record)
    return run
