"""An engine on a real project, store and journal, whose jobs end as a script says instead of running."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from nbpipe.executors.base import Capacity
from nbpipe.executors.faulty import FaultyExecutor, Scripted
from nbpipe.executors.fleet import Fleet
from nbpipe.model import Artifact, Event, Failure, JobSpec, Outcome, Pipeline, Status
from nbpipe.pipeline.extract import extract
from nbpipe.plan.facts import Outside
from nbpipe.run.attempt import Place
from nbpipe.run.beside import FOLDER, Lane
from nbpipe.run.engine import Engine
from nbpipe.run.files import Disk
from nbpipe.run.journal import Journal, read
from nbpipe.run.project import Project
from nbpipe.run.selection import select
from nbpipe.run.settings import Settings
from nbpipe.run.state import RunState, replay
from nbpipe.store import Store, open_store

Answer = Callable[[JobSpec], Outcome]


@dataclass
class Rig:
    """`cells` make the notebook; every `run` is a run of its own in the same project."""

    root: Path
    cells: Sequence[str]
    runs: int = 0
    engines: list[Engine] = field(default_factory=list)
    executor: FaultyExecutor = field(default_factory=FaultyExecutor)

    def __post_init__(self) -> None:
        self.write(*self.cells)

    def write(self, *cells: str) -> None:
        """Replace the notebook."""
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c, id=f"c{n}") for n, c in enumerate(cells)])
        nbformat.write(book, self.notebook)

    @property
    def notebook(self) -> Path:
        return self.root / "n.ipynb"

    @property
    def project(self) -> Project:
        return Project(self.root)

    @property
    def store(self) -> Store:
        return open_store(self.project.store)

    def pipeline(self) -> Pipeline:
        return extract(self.notebook)

    def artifact(self, value: Any) -> Artifact:
        """A stored value."""
        return self.store.save_values({"x": value}, stage="s")["x"]

    def succeed(self, value: Any = 1, **fields: Any) -> Answer:
        """An outcome that gives `value` for every output that was asked for."""

        def answer(spec: JobSpec) -> Outcome:
            given = {"outputs": {name: self.artifact([name, value]) for name in spec.outputs}}
            return _outcome(spec, "succeeded", **{**given, **fields})

        return answer

    def run(
        self,
        script: Mapping[str, Sequence[Answer | Scripted]] | None = None,
        *,
        cpus: float = 4,
        gpus: float = 0.0,
        memory: int | None = None,
        jobs: int | None = None,
        prepare: Callable[[Engine], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        hear: Callable[[Event], None] | None = None,
        **selection: Any,
    ) -> str:
        """Run to the end; the status. `script`: stage -> how its attempts go, in turn."""
        pipeline = self.pipeline()
        default = {stage.name: [Scripted(self.succeed())] for stage in pipeline.stages}
        given = {
            name: [item if isinstance(item, Scripted) else Scripted(item) for item in items]
            for name, items in (script or {}).items()
        }
        self.executor = FaultyExecutor(default | given, Capacity(cpus=cpus, gpus=gpus, memory=memory))
        self.runs += 1
        folder = self.project.runs / f"r{self.runs}"
        folder.mkdir(parents=True)
        journal = Journal(folder, hear)
        journal.append("run-started", id=f"r{self.runs}", stages=[{"name": stage.name} for stage in pipeline.stages])
        chosen = select(pipeline, **({"only": None, "from_": None, "until": None, "fresh": False} | selection))
        engine = Engine(
            pipeline,
            Place(run=f"r{self.runs}", folder=folder, project=self.root, cwd=self.root, store=self.store),
            Fleet.alone(self.executor),
            journal,
            Disk(
                Outside(self.root, self.store.variable_digest).digest,
                self.root,
                self.store,
                lane=Lane(self.project.state / FOLDER),
            ),
            Settings(jobs=jobs, **chosen),
            clock=clock,
        )
        self.engines.append(engine)
        prepare(engine)
        try:
            return engine.run()
        finally:
            journal.close()

    @property
    def events(self) -> list[Event]:
        """Journal of the latest run."""
        return list(read(self.project.runs / f"r{self.runs}" / "journal.jsonl"))

    @property
    def state(self) -> RunState:
        """State of the latest run."""
        return replay(self.events)

    @property
    def statuses(self) -> dict[str, str]:
        """Stage -> status in the latest run."""
        return {stage.name: stage.status for stage in self.state.stages}

    @property
    def submitted(self) -> list[str]:
        """Stages in the order in which jobs were started."""
        return [spec.stage for spec in self.executor.submitted]

    def story(self, stage: str) -> list[str]:
        """What happened to a stage in the latest run."""
        return [event.kind.removeprefix("stage-") for event in self.events if event.stage == stage]

    def together(self) -> int:
        """The most jobs that ran at once."""
        running = most = 0
        for event in self.events:
            running += event.kind == "stage-started"
            running -= event.kind in {"stage-succeeded", "stage-ended", "stage-retry", "stage-superseded"}
            most = max(most, running)
        return most


def fail(status: Status = "failed", code: str = "user-code", message: str = "no", name: str | None = None) -> Answer:
    """An outcome that did not succeed."""
    return lambda spec: _outcome(spec, status, failure=Failure(code=code, message=message, cell=1, name=name))


def _outcome(spec: JobSpec, status: Status, **fields: Any) -> Outcome:
    return Outcome(**{"stage": spec.stage, "attempt": spec.attempt, "token": spec.token, "status": status, **fields})
