"""Runs whose driving process died: show them as interrupted, keep what was finished, undo what was half done."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.job.files import undo
from nbpipe.job.folder import SPEC, read_spec, read_verdict
from nbpipe.job.server import kill_kernel
from nbpipe.model import Event, Trace
from nbpipe.run import record as records
from nbpipe.run.attempt import WANTED
from nbpipe.run.journal import JOURNAL, Journal, read
from nbpipe.run.project import Project
from nbpipe.store import Store

_LATEST = 50


def recover(project: Project, store: Store) -> list[str]:
    """Settle every run that nobody drives any more; ids of those that were. Safe beside other callers."""
    settled = []
    for run in project.run_ids()[:_LATEST]:
        folder = project.runs / run
        record = records.read(folder)
        if record is None or record.status != "running" or records.is_alive(record):
            continue
        try:
            (folder / "recovered").mkdir()
        except FileExistsError:
            continue
        _settle(folder, record, store)
        settled.append(run)
    return settled


def _settle(folder: Path, record: records.Record, store: Store) -> None:
    for event in _in_flight(folder):
        job = folder / "jobs" / f"{event.stage}.{event.attempt}"
        if not (job / SPEC).exists():
            continue
        kill_kernel(job)
        if not _adopt(job, str(event.data.get("token", "")), record, store):
            undo(job)
    journal = Journal(folder)
    journal.append("run-finished", status="interrupted", exit_code=130)
    journal.close()
    record.status, record.ended, record.exit_code = "interrupted", time.time(), 130
    records.write(folder, record)


def _in_flight(folder: Path) -> list[Event]:
    """The latest start of each stage that has no end."""
    open_: dict[str, Event] = {}
    for event in read(folder / JOURNAL):
        if event.kind == "stage-started":
            open_[event.stage] = event
        elif event.stage and event.kind != "stage-started":
            open_.pop(event.stage, None)
    return list(open_.values())


def _adopt(job: Path, token: str, record: records.Record, store: Store) -> bool:
    """A job that finished while nobody watched is a result like any other, if its verdict is its own and verifies."""
    try:
        spec = read_spec(job)
        found: dict[str, Any] = msgspec.json.decode((job / WANTED).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return False
    outcome = read_verdict(job, spec.token)
    if outcome is None or outcome.status != "succeeded" or (token and token != spec.token):
        return False
    if outcome.uncacheable or record.status != "running":
        return False
    if any(trace.outcome.token == spec.token for trace in store.traces.lookup(found["key"])):
        return True
    trace = Trace(
        key=found["key"], stage=spec.stage, parts=found["parts"], outcome=outcome, run=record.id, created=time.time()
    )
    store.traces.commit(trace)
    return True
