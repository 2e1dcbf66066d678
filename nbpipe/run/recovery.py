"""Runs whose driving process died: show them as interrupted, keep what was finished, undo what was half done."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from nbpipe.errors import StoreError
from nbpipe.job.folder import KERNEL_PID, LOG, SPEC, UNDO, VERDICT, read_spec, read_verdict
from nbpipe.job.leaks import scrub_dead
from nbpipe.job.server import kill_kernel
from nbpipe.job.undo import undo
from nbpipe.model import Event, Trace
from nbpipe.run import record as records
from nbpipe.run.abandoned import abandoned, nobodys
from nbpipe.run.attempt import WANTED, with_logged
from nbpipe.run.beside import FOLDER, bury, crossed
from nbpipe.run.files import written_by
from nbpipe.run.journal import JOURNAL, Journal, cut_torn_line, read
from nbpipe.run.project import Project
from nbpipe.store import Store
from nbpipe.tracking import outbox


def recover(project: Project, store: Store, say: Callable[[str], object] = lambda _: None) -> list[str]:
    """Settle every run that nobody drives any more; ids of those that were. Safe beside other callers, and to repeat.

    `say` hears of files that were put aside.
    """
    settled = []
    for run in abandoned(project):
        folder = project.runs / run
        # A lease, because whoever settles the run may die of it: then the next one takes over.
        lease = store.leases.claim(f"recover-{blake3(str(folder).encode()).hexdigest()[:32]}", run)
        if lease is None:
            continue
        try:
            record = nobodys(folder)
            if record is not None:
                store.leases.sweep()
                for text in _settle(project, folder, record, store):
                    say(text)
                outbox.note(folder)
                settled.append(run)
        finally:
            lease.release()
    return settled


def _settle(project: Project, folder: Path, record: records.Record, store: Store) -> list[str]:
    """What is to be said of its files."""
    told = list[str]()
    events = list(read(folder / JOURNAL))
    if events and events[-1].kind == "run-finished":
        # It died after its last event: the journal is the truth, the record only has to say the same.
        record.status, record.exit_code = events[-1].data["status"], events[-1].data.get("exit_code", 0)
        record.ended = events[-1].time
        executed = folder / Path(record.notebook).with_suffix(".ipynb").name
        record.executed = str(executed.relative_to(project.root)) if executed.exists() else ""
        records.write(folder, record)
        return told
    for event in reversed(_in_flight(events)):
        job = folder / "jobs" / f"{event.stage}.{event.attempt}"
        if (job / SPEC).exists():
            _end_kernel(job)
            alone = not crossed(project.state / FOLDER, job, written_by)
            if not _adopt(job, record, store, alone=alone):
                told += take_back(job)
            bury(project.state / FOLDER, job, written_by)
    journal = Journal(folder)
    for text in told:
        journal.append("warning", text=text)
    journal.append("run-finished", status="interrupted", exit_code=130)
    journal.close()
    record.status, record.ended, record.exit_code = "interrupted", time.time(), 130
    record.warnings = [*record.warnings, *told]
    records.write(folder, record)
    return told


def take_back(job: Path) -> list[str]:
    """End what may be left of a job whose driver died, and undo what it wrote; what is to be said of that. Safe to repeat.

    What others did to its files since is put aside.
    """
    ended = _last_sign(job)
    _end_kernel(job)
    scrub_dead(job, _secrets(job), os.environ)
    cut_torn_line(job / UNDO / "index.jsonl")
    return undo(job, since=ended)


def _last_sign(job: Path) -> int:
    """When a job ended, in ns; when it was last seen at work, if that is not known."""
    verdict, signs = job / VERDICT, (job / SPEC, job / LOG, job / UNDO / "index.jsonl")
    found = [verdict] if verdict.exists() else [sign for sign in signs if sign.exists()]
    return max((file.stat().st_mtime_ns for file in found), default=0)


def _secrets(job: Path) -> tuple[str, ...]:
    try:
        return read_spec(job).secrets
    except (OSError, msgspec.MsgspecError):
        return ()


def _in_flight(events: list[Event]) -> list[Event]:
    """The latest start of each stage that has no end, in order."""
    open_: dict[str, Event] = {}
    for event in events:
        if event.kind == "stage-started":
            open_[event.stage] = event
        elif event.stage:
            open_.pop(event.stage, None)
    return list(open_.values())


def _end_kernel(job: Path) -> None:
    """Kill the job's kernel if it still lives; not a process that got its number since."""
    try:
        noted = (job / KERNEL_PID).stat().st_mtime
        pid = int((job / KERNEL_PID).read_text())
        ticks = records.process_start(pid)
        boot = next(int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line[:5] == "btime")
    except (OSError, ValueError, StopIteration):
        return
    started = boot + ticks / os.sysconf("SC_CLK_TCK")
    if ticks and started <= noted + 2:
        kill_kernel(job)


def _adopt(job: Path, record: records.Record, store: Store, *, alone: bool) -> bool:
    """A job that finished while nobody watched is a result like any other, if its verdict is its own and verifies.

    Not where it was not `alone`: another run may have written what it used.
    """
    try:
        spec = read_spec(job)
        found: dict[str, Any] = msgspec.json.decode((job / WANTED).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return False
    outcome = read_verdict(job, spec.token)
    if outcome is None or outcome.status != "succeeded" or outcome.uncacheable:
        return False
    if any(trace.outcome.token == spec.token for trace in store.traces.lookup(found["key"])):
        return True
    if not alone:
        return False
    trace = Trace(
        key=found["key"],
        stage=spec.stage,
        parts=found["parts"],
        outcome=with_logged(outcome, job, store),
        pipeline=record.name,
        run=record.id,
        created=time.time(),
    )
    try:
        store.commit(trace)
    except StoreError:
        return False
    return True
