"""`run_notebook`: from a notebook on disk to a finished run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.errors import EXIT_CODES, NbpipeError
from nbpipe.executors.base import Executor
from nbpipe.model import Event, Failure, Notebook, Pipeline
from nbpipe.notebook.reader import read_notebook
from nbpipe.pipeline.extract import extract
from nbpipe.pipeline.params import resolve_params
from nbpipe.run import merges
from nbpipe.run import record as records
from nbpipe.run.attempt import Place
from nbpipe.run.engine import Engine, MergeNeeded, Settings
from nbpipe.run.executed import write_executed
from nbpipe.run.faults import fault
from nbpipe.run.files import Disk
from nbpipe.run.journal import Journal
from nbpipe.run.project import Project, find_project
from nbpipe.run.recovery import recover
from nbpipe.run.selection import select
from nbpipe.run.state import RunState, advance
from nbpipe.run.uptodate import up_to_date
from nbpipe.store import Store, open_store

_EXITS = {"succeeded": 0, "cancelled": 130, "interrupted": 130, "rejected": EXIT_CODES["rejected"]}
_FAILED = {
    "timeout": EXIT_CODES["timeout"],
    "lost": EXIT_CODES["lost"],
    "kernel-lost": EXIT_CODES["lost"],
    "store": EXIT_CODES["store"],
    "security": EXIT_CODES["security"],
}


class StageResult(msgspec.Struct, frozen=True, kw_only=True):
    """One stage as the caller sees it; `status` as in `run.state`, `seconds` 0 for a cached one."""

    name: str
    status: str
    seconds: float
    reason: str = ""
    metrics: dict[str, float] = {}


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run. `status`: succeeded, up-to-date, failed, rejected, cancelled."""

    run: str
    status: str
    exit_code: int
    #: The executed copy of the notebook.
    notebook: Path
    version: str = ""
    number: int = 0
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    stages: tuple[StageResult, ...] = ()
    failure: Failure | None = None

    @property
    def up_to_date(self) -> bool:
        """There was nothing to do."""
        return self.status == "up-to-date"


def run_notebook(  # noqa: PLR0913  one per option of the command
    path: str | Path,
    *,
    params: Mapping[str, Any] | None = None,
    profile: str | None = None,
    only: str | None = None,
    from_: str | None = None,
    until: str | None = None,
    fresh: bool = False,
    jobs: int | None = None,
    seed: int = 0,
    store: str | None = None,
    executor: Executor | None = None,
    listener: Callable[[Event], None] | None = None,
    run_id: str | None = None,
) -> RunResult:
    """Run the notebook at `path` as a pipeline; what has not changed is reused.

    `params` are values or texts as typed on the command line. `only`, `from_` and `until` name stages; `fresh` reuses
    nothing. `listener` hears every event of the journal. A run that fails is a result, not an error; raises NbpipeError
    for what prevents a run: a bad notebook or pipeline, a wrong parameter, a store that cannot be written.
    """
    notebook = read_notebook(Path(path))
    project = find_project(Path(path))
    place = open_store(store or project.store)
    joined = merges.known(project, notebook)
    pipeline = extract(Path(path), observed=place.hints.observed, merges=joined)
    values = resolve_params(pipeline.params, params or {}, profile, pipeline.profiles)
    recover(project, place)
    while True:
        chosen = select(pipeline, only=only, from_=from_, until=until, fresh=fresh)
        settings = Settings(params=values, seed=seed, jobs=jobs, **chosen)
        if run_id is None:
            found = up_to_date(pipeline, project, place, settings, notebook)
            if found is not None:
                return _earlier(found, project)
        with _driven(project, place, pipeline, notebook, settings, profile, listener, run_id) as drive:
            outcome = drive.go(executor)
        if isinstance(outcome, RunResult):
            _deliver(project, drive.folder)
            return outcome
        joined = (*joined, outcome.names)
        merges.remember(project, notebook, joined)
        pipeline = extract(Path(path), observed=place.hints.observed, merges=joined)
        run_id = drive.run


def _earlier(found: records.Record, project: Project) -> RunResult:
    return RunResult(
        run=found.id,
        status="up-to-date",
        exit_code=0,
        notebook=project.root / found.executed,
        version=found.version,
        number=found.number,
        warnings=tuple(found.warnings),
        stages=tuple(StageResult(name=name, status="cached", seconds=0.0) for name in found.keys),
    )


class _Drive:
    """One run folder from its first event to its last."""

    def __init__(
        self,
        project: Project,
        store: Store,
        pipeline: Pipeline,
        notebook: Notebook,
        settings: Settings,
        profile: str | None,
        listener: Callable[[Event], None] | None,
        run: str | None,
    ) -> None:
        self.project = project
        self.pipeline = pipeline
        self.notebook = notebook
        self.settings = settings
        self.store = store
        self.run = run or project.new_run()
        self.folder = project.runs / self.run
        self.state = RunState()
        self._listener = listener
        self.journal = Journal(self.folder, self._hear)
        self.record = records.read(self.folder) or records.Record(
            id=self.run,
            notebook=_relative(Path(notebook.path), project.root),
            name=pipeline.name,
            version=pipeline.version,
            number=_number(project, pipeline),
            sha256=notebook.sha256,
            params=dict(settings.params),
            profile=profile,
            seed=settings.seed,
            created=time.time(),
            pid=os.getpid(),
            process_started=records.process_start(os.getpid()),
        )
        self.record.version = pipeline.version
        records.write(self.folder, self.record)
        fault("run.created")

    def _hear(self, event: Event) -> None:
        self.state = advance(self.state, event)
        if self._listener is not None:
            self._listener(event)

    def go(self, executor: Executor | None) -> RunResult | MergeNeeded:
        """Drive the engine and write what came of it."""
        self._begin()
        own = executor is None
        if executor is None:
            from nbpipe.executors.local import LocalExecutor

            executor = LocalExecutor(cpus=self.settings.jobs)
        engine = self._engine(executor)
        error: NbpipeError | None = None
        try:
            with _signals(engine):
                status = engine.run()
        except MergeNeeded as merge:
            for attempt in engine.running.values():
                executor.cancel(attempt.handle, force=True)
            self.journal.append("warning", text=_merged(merge))
            self.record.warnings = list(self.state.warnings)
            return merge
        except NbpipeError as found:
            error, status = found, "failed"
            for attempt in engine.running.values():
                executor.cancel(attempt.handle, force=True)
        finally:
            if own:
                executor.close()
        return self._finish(engine, status, error)

    def _begin(self) -> None:
        stages = [{"name": stage.name, "kind": stage.kind} for stage in self.pipeline.stages]
        if self.state.id or self.journal.path.stat().st_size:
            self.journal.append("stages", stages=stages, version=self.pipeline.version)
            return
        record = self.record
        self.journal.append(
            "run-started",
            id=record.id,
            notebook=record.notebook,
            name=record.name,
            version=record.version,
            number=record.number,
            params=record.params,
            profile=record.profile,
            sha256=record.sha256,
            stages=stages,
        )
        for text in self.pipeline.warnings:
            self.journal.append("warning", text=text)
        self._bundle()

    def _bundle(self) -> None:
        from nbpipe.pipeline.bundle import write_bundle
        from nbpipe.tracking.environment import record

        write_bundle(self.pipeline, self.notebook, Path(self.notebook.path).resolve().parent, self.folder / "bundle")
        found = record(self.project.root, self.pipeline.distributions)
        (self.folder / "environment.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)))

    def _engine(self, executor: Executor) -> Engine:
        from nbpipe.plan.facts import Files
        from nbpipe.tracking.registry import champion_metrics

        cwd = Path(self.notebook.path).resolve().parent
        place = Place(self.run, self.folder, self.project.root, cwd, self.store)
        disk = Disk(Files(self.project.root).digest, self.project.root, self.store)
        return Engine(
            self.pipeline,
            place,
            executor,
            self.journal,
            disk,
            self.settings,
            champion=lambda name: champion_metrics(self.project.root, name),
        )

    def _finish(self, engine: Engine, status: str, error: NbpipeError | None) -> RunResult:
        failure = _failure_of(error) if error is not None else None
        if error is None and engine.failures:
            first = min(engine.failures, key=lambda name: engine._position[name])  # noqa: SLF001  same package
            failure = engine.failures[first].failure
        code = error.exit_code if error is not None else _exit(status, engine)
        reached = {
            stage.name
            for stage in self.pipeline.stages
            if stage.name in engine.committed or stage.name in engine.failures
        }
        for stage in self.pipeline.stages:
            if stage.name not in reached:
                self.journal.append("stage-skipped", stage=stage.name)
        fault("finish.before_notebook")
        executed = write_executed(self.folder, self.notebook, self.pipeline, engine, self.record, status)
        fault("finish.after_notebook")
        self.journal.append(
            "run-finished", status=status, exit_code=code, failure=msgspec.to_builtins(failure) if failure else None
        )
        fault("finish.after_event")
        record = self.record
        record.status, record.exit_code, record.ended = status, code, time.time()
        record.executed = _relative(executed, self.project.root)
        record.warnings = list(self.state.warnings)
        record.keys = {name: trace.key for name, trace in engine.traces.items()}
        records.write(self.folder, record)
        return RunResult(
            run=self.run,
            status=status,
            exit_code=code,
            notebook=executed,
            version=self.pipeline.version,
            number=record.number,
            seconds=record.ended - record.created,
            warnings=self.state.warnings,
            stages=tuple(
                StageResult(
                    name=stage.name,
                    status=stage.status,
                    seconds=stage.seconds,
                    reason=f"from {stage.source}" if stage.status == "cached" else "; ".join(stage.reasons),
                    metrics=stage.metrics,
                )
                for stage in self.state.stages
            ),
            failure=failure,
        )


@contextmanager
def _driven(*arguments: Any) -> Iterator[_Drive]:
    drive = _Drive(*arguments)
    try:
        yield drive
    finally:
        drive.journal.close()


@contextmanager
def _signals(engine: Engine) -> Iterator[None]:
    """Ctrl-C once asks the jobs to stop, twice kills them; SIGTERM asks. Only the main thread may listen."""

    def stop(number: int, _frame: Any) -> None:
        engine.stopping = "kill" if engine.stopping and number == signal.SIGINT else engine.stopping or "ask"

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit(status: str, engine: Engine) -> int:
    if status != "failed":
        return _EXITS[status]
    outcomes = list(engine.failures.values())
    codes = [
        _FAILED.get(outcome.status) or _FAILED.get(outcome.failure.code if outcome.failure else "")
        for outcome in outcomes
    ]
    return next((code for code in codes if code), EXIT_CODES["user"])


def _failure_of(error: NbpipeError) -> Failure:
    return Failure(
        code=error.code, message=error.message, cell=error.cell, line=error.line, name=error.name, fix=error.fix or ""
    )


def _merged(merge: MergeNeeded) -> str:
    return f"stages {', '.join(merge.names)} were joined into '{merge.names[0]}': {merge.failure.message}"


def _number(project: Project, pipeline: Pipeline) -> int:
    from nbpipe.pipeline.numbering import version_number

    return version_number(project.state, pipeline.name, pipeline.version)


def _relative(path: Path, root: Path) -> str:
    resolved = path.resolve()
    return str(resolved.relative_to(root)) if resolved.is_relative_to(root) else str(resolved)


def _deliver(project: Project, folder: Path) -> None:
    """Hand the run to tracking. Whatever happens there changes nothing here."""
    from nbpipe.tracking import outbox

    if os.environ.get("NBPIPE_TRACKING", "on") == "off":
        return
    outbox.enqueue(folder)
    outbox.flush(project.root)
