"""One run folder from its first event to its last."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.errors import EXIT_CODES, NbpipeError
from nbpipe.executors.fleet import Fleet
from nbpipe.job.redact import Redactor
from nbpipe.model import Event, Failure, Notebook, Pipeline
from nbpipe.pipeline.params import effective_params
from nbpipe.plan.facts import Outside
from nbpipe.run import record as records
from nbpipe.run.attempt import Place
from nbpipe.run.beside import FOLDER, Lane
from nbpipe.run.engine import Engine, MergeNeeded
from nbpipe.run.executed import write_executed
from nbpipe.run.expected import expected_seconds
from nbpipe.run.faults import fault
from nbpipe.run.files import Disk
from nbpipe.run.journal import Journal, forget_unborn, read
from nbpipe.run.made import differing
from nbpipe.run.outcome import RunResult, StageResult
from nbpipe.run.project import Project, relative
from nbpipe.run.refused import refused
from nbpipe.run.settings import Settings
from nbpipe.run.signals import stopped_by_signals
from nbpipe.run.state import RunState, SoFar
from nbpipe.store import Store
from nbpipe.tracking import outbox

_EXITS = {
    "succeeded": EXIT_CODES["ok"],
    "cancelled": EXIT_CODES["interrupted"],
    "rejected": EXIT_CODES["rejected"],
}
_FAILED = {
    "timeout": EXIT_CODES["timeout"],
    "lost": EXIT_CODES["lost"],
    "kernel-lost": EXIT_CODES["lost"],
    "store": EXIT_CODES["store"],
    "corrupt": EXIT_CODES["store"],
    "security": EXIT_CODES["security"],
}


class Drive:
    """Writes a run's record, journal and executed notebook around an engine.

    Responsibilities: every run that began has an end on record, whatever happened between. Must not decide what runs.
    """

    #: What drives the stages.
    engine: type[Engine] = Engine
    #: When its first stage began, where that was before this process did; else 0.
    began: float = 0.0
    #: Names that a notebook's kernel waits for.
    spare: tuple[str, ...] = ()

    def __init__(
        self,
        project: Project,
        store: Store,
        notebook: Notebook,
        *,
        seed: int = 0,
        profile: str | None = None,
        listener: Callable[[Event], None] | None = None,
        run: str | None = None,
        lane: Lane | None = None,
    ) -> None:
        self.project = project
        self.store = store
        self.notebook = notebook
        self.run = run or project.new_run()
        self.folder = project.runs / self.run
        self._cwd = Path(notebook.path).resolve().parent
        self._listener = listener
        #: Target -> what its machine is, of those that stages may run on beside this one; for the record.
        self.machines: Mapping[str, Any] = {}
        #: Asked all the time whether to stop: "", "ask" or "kill", as in `Engine.stopping`.
        self.halt: Callable[[], str] = lambda: ""
        #: What is known beforehand to be otherwise than its stages ask.
        self.warnings: tuple[str, ...] = ()
        self._disk = Disk(
            Outside(project.root, store.variable_digest).digest,
            project.root,
            store,
            lane=lane or Lane(project.state / FOLDER),
        )
        self.journal = Journal(self.folder, self._hear)
        self._told = SoFar(read(self.journal.path))
        self.record = records.Record(
            id=self.run,
            notebook=relative(Path(notebook.path), project.root),
            name=Path(notebook.path).stem,
            version="",
            sha256=notebook.sha256,
            profile=profile,
            seed=seed,
            store="" if store.location == str(project.state / "store") else store.location,
            created=time.time(),
            pid=os.getpid(),
            process_started=records.process_start(os.getpid()),
        )

    @property
    def state(self) -> RunState:
        """The run as its journal tells it by now."""
        return self._told.state

    def _hear(self, event: Event) -> None:
        self._told.add(event)
        if self._listener is not None:
            self._listener(event)

    def go(self, pipeline: Pipeline, settings: Settings, fleet: Fleet) -> RunResult | MergeNeeded:
        """Run this pipeline to its end; or to where stages have to be joined: then call again with them joined."""
        engine = self._engine(pipeline, settings, fleet)
        # From its first word on the run can be asked to stop.
        with stopped_by_signals(engine):
            self._begin(pipeline, settings)
            try:
                status, error = self._through(engine, pipeline, settings)
            except MergeNeeded as merge:
                engine.take_all_back()
                names = ", ".join(merge.names)
                self.journal.append(
                    "warning", text=f"{names} run as one stage '{merge.names[0]}': {merge.failure.message}"
                )
                return merge
            # Nor may being asked again lose how it ended.
            return self._finish(pipeline, engine, status, error)

    def _through(self, engine: Engine, pipeline: Pipeline, settings: Settings) -> tuple[str, NbpipeError | None]:
        """How the stages ended. What is no error of a run is raised on, once the run has an end."""
        try:
            self._bundle(pipeline, settings)
            return engine.run(), None
        except MergeNeeded:
            raise
        except NbpipeError as found:
            engine.abandon()
            return "failed", found
        except OSError as found:
            engine.abandon()
            return "failed", refused(self.folder, found)
        except BaseException as found:
            engine.abandon()
            self._listener = None  # it may be what raised
            stopped = isinstance(found, KeyboardInterrupt)
            self._end("cancelled" if stopped else "failed", EXIT_CODES["interrupted" if stopped else "user"], None)
            raise

    def close(self) -> None:
        """Let go of the journal, and of a run that never began. Safe to repeat."""
        self.journal.close()
        forget_unborn(self.folder)

    # -- the beginning

    def _begin(self, pipeline: Pipeline, settings: Settings) -> None:
        from nbpipe.pipeline.numbering import version_number

        record = self.record
        record.created = self.began or record.created
        record.version = pipeline.version
        record.number = version_number(self.project.state, pipeline.name, pipeline.version)
        record.params = effective_params(pipeline.params, settings.params)
        records.write(self.folder, record)
        fault("run.created")
        stages = [{"name": stage.name, "kind": stage.kind} for stage in pipeline.stages]
        if self.state.id:
            self.journal.append("stages", stages=stages, version=record.version, number=record.number)
            return
        began: dict[str, Any] = {"began": self.began} if self.began else {}
        self.journal.append(
            "run-started",
            id=record.id,
            notebook=record.notebook,
            name=record.name,
            version=record.version,
            number=record.number,
            params=record.params,
            given=sorted(settings.params),
            profile=record.profile,
            sha256=record.sha256,
            stages=stages,
            **began,
        )
        for text in (*pipeline.warnings, *self.warnings):
            self.journal.append("warning", text=text)

    def _bundle(self, pipeline: Pipeline, settings: Settings) -> None:
        from nbpipe.pipeline.bundle import write_bundle
        from nbpipe.tracking.environment import record

        write_bundle(pipeline, self.notebook, self._cwd, self.folder / "bundle")
        found = Redactor.of(settings.secrets, os.environ).data(record(self.project.root, pipeline.distributions))
        found |= {"targets": dict(self.machines)} if self.machines else {}
        (self.folder / "environment.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)))

    def _engine(self, pipeline: Pipeline, settings: Settings, fleet: Fleet) -> Engine:
        from nbpipe.tracking.registry import champion_metrics

        return self.engine(
            pipeline,
            Place(
                run=self.run,
                folder=self.folder,
                project=self.project.root,
                cwd=self._cwd,
                store=self.store,
                source=str(Path(self.notebook.path).resolve()),
                secrets=settings.secrets,
                spare=self.spare,
                forced=settings.forced,
                resume=settings.resume,
            ),
            fleet,
            self.journal,
            self._disk,
            settings,
            champion=lambda name: champion_metrics(self.project.root, name),
            expected=expected_seconds(self.project, self.record.notebook, self.record.profile),
            attempts={stage.name: stage.attempt for stage in self.state.stages},
            halt=self.halt,
        )

    # -- the end

    def _finish(self, pipeline: Pipeline, engine: Engine, status: str, error: NbpipeError | None) -> RunResult:
        failure = _failure_of(error) if error is not None else engine.failure
        code = error.exit_code if error is not None else exit_code_of(status, engine)
        for text in differing((stage.name for stage in pipeline.stages), engine.committed):
            self.journal.append("warning", text=text)
        fault("finish.before_notebook")
        executed = self.folder / f"{Path(self.notebook.path).stem}.ipynb"
        try:
            write_executed(executed, self.notebook, pipeline, engine, self.record, status)
            self.record.executed = relative(executed, self.project.root)
        except OSError as found:
            # The stages are committed, but a run whose notebook is missing is not what was asked for.
            error = error or refused(executed, found)
            status, failure, code = "failed", failure or _failure_of(error), code or error.exit_code
        fault("finish.after_notebook")
        self.record.keys = {name: trace.key for name, trace in engine.traces.items()}
        self.record.results = {name: trace.outcome.token for name, trace in engine.traces.items()}
        self._end(status, code, failure)
        return RunResult(
            run=self.run,
            status=status,
            exit_code=code,
            notebook=executed,
            version=self.record.version,
            number=self.record.number,
            seconds=self.record.ended - self.record.created,
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

    def _end(self, status: str, code: int, failure: Failure | None) -> None:
        for stage in self.state.stages:
            if stage.status == "waiting":
                self.journal.append("stage-skipped", stage=stage.name)
            elif stage.status == "running":
                self.journal.append("stage-ended", stage=stage.name, attempt=stage.attempt, status="cancelled")
        told = msgspec.to_builtins(failure) if failure is not None else None
        self.journal.append("run-finished", status=status, exit_code=code, failure=told)
        fault("finish.after_event")
        # Before the record: while that says "running", recovery settles the run and notes it.
        outbox.note(self.folder)
        self.record.status, self.record.exit_code, self.record.ended = status, code, time.time()
        self.record.warnings = list(self.state.warnings)
        records.write(self.folder, self.record)


def exit_code_of(status: str, engine: Engine) -> int:
    """What a process ends with whose engine ended like this."""
    if status != "failed":
        return _EXITS[status]
    for outcome in engine.failures.values():
        code = _FAILED.get(outcome.status) or _FAILED.get(outcome.failure.code if outcome.failure else "")
        if code:
            return code
    return EXIT_CODES["user"]


def _failure_of(error: NbpipeError) -> Failure:
    said = f"stage '{error.stage}' {error.message}" if error.stage else error.message
    return Failure(
        code=error.code, message=said, cell=error.cell, line=error.line, name=error.name, fix=error.fix or ""
    )
