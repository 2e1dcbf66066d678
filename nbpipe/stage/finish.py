"""The end of a scheduled run: is it whole, and one? Then it goes into the history, to MLflow and the model registry."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from nbpipe.errors import NbpipeError, PipelineError
from nbpipe.executors.fleet import Fleet
from nbpipe.executors.local import LocalExecutor
from nbpipe.export.graph import ancestors
from nbpipe.history.notes import tag
from nbpipe.job.folder import write_durably
from nbpipe.model import Notebook, Outcome, Pipeline, Trace
from nbpipe.notebook.reader import parse_notebook
from nbpipe.run import record as records
from nbpipe.run.drive import Drive
from nbpipe.run.engine import Engine
from nbpipe.run.faults import fault
from nbpipe.run.outcome import RunResult
from nbpipe.run.publish import not_reused
from nbpipe.run.recovery import recover
from nbpipe.run.settings import Settings
from nbpipe.stage import curves
from nbpipe.stage.above import refuse_stale, stale
from nbpipe.stage.api import Ask
from nbpipe.stage.book import Book, Entry, StoreBook
from nbpipe.stage.pipelines import observed, values_of
from nbpipe.stage.site import Site
from nbpipe.store import Store
from nbpipe.tracking import outbox
from nbpipe.tracking.notes import SCHEDULED, Scheduled, read_ends

_LONGEST_TAG = 1000
#: Newest runs among which one is looked for that has everything already.
_LATEST = 20
#: Newest runs among which one is looked for that a killed process has recorded.
_FAR = 1000


def finish(site: Site, store: Store, book: Book, ask: Ask) -> int:
    """Check the run, put its last files in place, record it; the exit code is that of the run.

    Of a run that has an id, the history has each end once. Raises PipelineError where the results do not belong to one run.
    """
    params = values_of(site, ask.params, ask.texts)
    pipeline = observed(site.pipeline, store)
    entries = {s.name: found for s in pipeline.stages if (found := book.read(s.name)) is not None}
    has_id = isinstance(book, StoreBook)
    if not has_id and any(entry.trace is None for entry in entries.values()):
        entries = _without_old(pipeline, entries, params, site)
    given = {name: entry.trace for name, entry in entries.items() if entry.trace is not None}
    failed = {name: entry for name, entry in entries.items() if entry.trace is None}
    problem: NbpipeError | None = None
    try:
        refuse_stale(pipeline, given, params, order=site.manifest.order, seed=site.manifest.seed)
        missing = [stage.name for stage in pipeline.stages if stage.name not in entries]
        if missing and not failed:
            raise PipelineError("has no result in this run", stage=missing[0], fix="See the log of its task.")  # noqa: TRY301
    except PipelineError as error:
        problem = error
    if not has_id and problem is None and not failed:
        same = _up_to_date(site, given)
        if same is not None:
            sys.stdout.write(f"nbpipe: up to date ({same})\n")
            return 0
    earlier = {} if has_id else _earlier(site, given)
    if not site.scratch or os.environ.get("MLFLOW_TRACKING_URI"):
        _once(
            site,
            store,
            book,
            ask,
            entries,
            lambda ends: _record(site, store, pipeline, params, _Ended(ask.label, entries, problem, ends, earlier)),
        )
    else:
        sys.stdout.write("nbpipe: not recorded: there is no project here, and no MLFLOW_TRACKING_URI\n")
    if problem is not None:
        raise problem
    for name, entry in failed.items():
        said = entry.failure.message if entry.failure is not None else entry.status
        sys.stdout.write(f"nbpipe: stage '{name}' {entry.status}: {said}\n")
    return next((entry.exit_code or 1 for entry in failed.values()), 0)


def _once(
    site: Site, store: Store, book: Book, ask: Ask, entries: Mapping[str, Entry], record: Callable[[str], str]
) -> None:
    """Record the run, unless the history has it with these ends or somebody is recording that.

    Whoever is killed as they do so leaves it to the next one: it is noted as recorded only once it is.
    """
    if not isinstance(book, StoreBook):
        _tell(site, ask, record(""))
        return
    ends = book.ends(entries)
    if book.is_recorded(ends):
        return
    lease = store.leases.claim(f"record-{ends[:32]}", ask.label)
    if lease is None:
        return
    try:
        if book.is_recorded(ends):
            return
        recover(site.project, store)
        _tell(site, ask, _found(site, ends) or record(ends))
        fault("recorded.before_mark")
        # A worker may go away with its folder: what was recorded must have arrived by then.
        if not site.scratch or not outbox.pending(site.project.root):
            book.note_recorded(ends)
    finally:
        lease.release()


def _found(site: Site, ends: str) -> str:
    """The run in the history that ended with these ends; "" where there is none. One that was recorded by half is removed."""
    for run in site.project.run_ids()[:_FAR]:
        if read_ends(site.project.runs / run) == ends:
            record = records.read(site.project.runs / run)
            if record is not None and record.status not in ("running", "interrupted"):
                return run
            site.project.discard(run)
    return ""


def _tell(site: Site, ask: Ask, run: str) -> None:
    """Say where it was recorded, note by whom, and deliver it."""
    folder = site.project.runs / run
    tag(folder, {"scheduler": site.manifest.scheduler, "scheduler_run": ask.label[:_LONGEST_TAG]})
    outbox.flush(site.project.root, wait=site.scratch)
    record = records.read(folder)
    sys.stdout.write(f"nbpipe: recorded as {run}: {record.status if record is not None else 'running'}\n")


def _without_old(
    pipeline: Pipeline, entries: Mapping[str, Entry], params: Mapping[str, Any], site: Site
) -> dict[str, Entry]:
    """Without what earlier runs left in a folder of receipts, where a stage has failed and those below were not asked."""
    kept = dict(entries)
    while True:
        given = {name: entry.trace for name, entry in kept.items() if entry.trace is not None}
        old = stale(pipeline, given, params, seed=site.manifest.seed)
        if old is None:
            break
        del kept[old[0]]
    failed = {name for name, entry in kept.items() if entry.trace is None}
    return {name: entry for name, entry in kept.items() if not failed & ancestors(site.manifest.order, name)}


def _up_to_date(site: Site, given: Mapping[str, Trace]) -> str | None:
    """The latest run in the history that ended with just these results.

    A stage that is never reused, or asked to run afresh, gives another one under the same key: it came after that run.
    """
    tokens = {name: trace.outcome.token for name, trace in given.items()}
    same = (record for record in _latest(site) if record.status == "succeeded" and record.results == tokens)
    return next((record.id for record in same), None)


def _earlier(site: Site, given: Mapping[str, Trace]) -> Mapping[str, str]:
    """Stage -> the first of the latest runs that had its result. A folder of receipts does not tell one run's from another's."""
    found: dict[str, str] = {}
    for record in _latest(site):
        for name, trace in given.items():
            if record.results.get(name) == trace.outcome.token:
                found[name] = record.id
    return found


def _latest(site: Site) -> Iterator[records.Record]:
    """The latest runs in the history, newest first."""
    runs = site.project.run_ids()[:_LATEST]
    return (record for run in runs if (record := records.read(site.project.runs / run)) is not None)


@dataclass(frozen=True)
class _Ended:
    """A run whose stages have ended elsewhere, as the scheduler calls it, and what is wrong with it as a whole."""

    label: str
    entries: Mapping[str, Entry]
    problem: NbpipeError | None
    #: Name of these ends, of which the history has one run; "" where it may have many.
    ends: str = ""
    #: Stage -> run in the history that ended with this very result, and later.
    earlier: Mapping[str, str] = field(default_factory=dict)

    @property
    def given(self) -> dict[str, Trace]:
        """The results of the stages that have one."""
        return {name: entry.trace for name, entry in self.entries.items() if entry.trace is not None}

    def source(self, trace: Trace) -> str:
        """The run whose result it is, where it was not made in this one; else ""."""
        return trace.run if trace.run != self.label else self.earlier.get(trace.stage, "")

    @property
    def began(self) -> float:
        """When the first of the stages that ran in it began; 0 where none did."""
        made = (trace for trace in self.given.values() if not self.source(trace))
        return min((trace.created - trace.outcome.seconds.get("total", 0.0) for trace in made), default=0.0)

    @property
    def failed(self) -> dict[str, Entry]:
        """The ends of the others."""
        return {name: entry for name, entry in self.entries.items() if entry.trace is None}


class _Recorded(Drive):
    """Writes down such a run."""

    ended: _Ended

    def _begin(self, pipeline: Pipeline, settings: Settings) -> None:
        if self.ended.ends:
            # First of all: whoever finds half of it knows what it is half of.
            write_durably(self.folder / SCHEDULED, msgspec.json.encode(Scheduled(ends=self.ended.ends)))
        super()._begin(pipeline, settings)
        for stage in pipeline.stages:
            trace, entry = self.ended.given.get(stage.name), self.ended.failed.get(stage.name)
            if trace is not None:
                self._ended(trace)
            elif entry is not None:
                told = msgspec.to_builtins(entry.failure) if entry.failure is not None else None
                self.journal.append("stage-started", stage=stage.name, attempt=1, reasons=[])
                self.journal.append(
                    "stage-ended", stage=stage.name, attempt=1, status=entry.status, failure=told, metrics={}
                )

    def _ended(self, trace: Trace) -> None:
        name, metrics = trace.stage, trace.outcome.metrics
        source = self.ended.source(trace)
        if source:
            self.journal.append("stage-cached", stage=name, source=source, metrics=metrics, key=trace.key)
            return
        seconds = trace.outcome.seconds.get("total", 0.0)
        curves.write(self.folder, name, self.ended.entries[name].curves)
        self.journal.append("stage-started", stage=name, attempt=1, reasons=[])
        told = {"key": trace.key, "metrics": metrics, "seconds": seconds, "made": trace.run}
        for text in (*trace.outcome.warnings, *not_reused(trace.outcome)):
            self.journal.append("warning", text=f"stage '{name}': {text}")
        self.journal.append("stage-succeeded", stage=name, attempt=1, **told)

    def _engine(self, pipeline: Pipeline, settings: Settings, executor: Any) -> Engine:
        engine = super()._engine(pipeline, settings, executor)
        for stage in pipeline.stages:
            if stage.name in self.ended.given:
                engine.adopt(self.ended.given[stage.name])
            elif stage.name in self.ended.failed:
                engine.failures[stage.name] = _outcome(self.ended.failed[stage.name])
        return engine

    def _through(self, engine: Engine, pipeline: Pipeline, settings: Settings) -> tuple[str, NbpipeError | None]:
        found = super()._through(engine, pipeline, settings)
        return ("failed", self.ended.problem) if self.ended.problem is not None else found


def _record(site: Site, store: Store, pipeline: Pipeline, params: Mapping[str, Any], ended: _Ended) -> str:
    """Record it; the id of the run."""
    executor = LocalExecutor(warm=False)
    drive = _Recorded(site.project, store, notebook_of(site), seed=site.manifest.seed)
    drive.ended = ended
    drive.began = ended.began
    try:
        settings = Settings(params=params, seed=site.manifest.seed, secrets=site.manifest.secrets, selected=frozenset())
        result = drive.go(pipeline, settings, Fleet.alone(executor))
    finally:
        drive.close()
        executor.close()
    if not isinstance(result, RunResult):
        raise PipelineError("stages would have to be joined", fix="Run it with nbpipe run once, then export again.")
    return result.run


def notebook_of(site: Site) -> Notebook:
    """The notebook as it was exported, at its place in the project."""
    found = parse_notebook(site.notebook.read_bytes(), str(site.project.root / site.manifest.notebook))
    return msgspec.structs.replace(found, path=str(site.project.root / site.manifest.notebook))


def _outcome(entry: Entry) -> Outcome:
    status: Any = entry.status if entry.status in ("rejected", "timeout", "lost", "cancelled") else "failed"
    return Outcome(stage=entry.stage, attempt=1, token="", status=status, failure=entry.failure)
