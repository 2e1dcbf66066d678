"""Runs that say they are running although nobody drives them any more."""

from __future__ import annotations

from pathlib import Path

from nbpipe.run import record as records
from nbpipe.run.project import Project

_LATEST = 50


def abandoned(project: Project) -> list[str]:
    """Ids of such runs among the latest, newest first."""
    return [run for run in project.run_ids()[:_LATEST] if nobodys(project.runs / run)]


def nobodys(folder: Path) -> records.Record | None:
    """The record of a run, if it has no end and its process is gone."""
    record = records.read(folder)
    return record if record is not None and record.status == "running" and not records.is_alive(record) else None
