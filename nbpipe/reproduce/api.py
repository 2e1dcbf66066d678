"""`reproduce`: make a run again from what it left, and compare."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from nbpipe.errors import UnsupportedError, UsageError
from nbpipe.history.difference.run_view import RunView
from nbpipe.history.query import detail
from nbpipe.model import Event, Outcome, Pipeline
from nbpipe.pipeline.bundle import read_bundle
from nbpipe.reproduce import environment
from nbpipe.reproduce.causes import causes_in
from nbpipe.reproduce.compare import Comparison, Side
from nbpipe.reproduce.copies import Copies
from nbpipe.reproduce.inputs import Inputs, changed_variables, find_inputs
from nbpipe.reproduce.rerun import run_again
from nbpipe.reproduce.scratch import bundled_modules, fill, scratch_project
from nbpipe.reproduce.verdict import Obstacle, StageVerdict, Verdict, graded
from nbpipe.run import record as records
from nbpipe.run.earlier import BUNDLE, notebook_of
from nbpipe.run.project import Project
from nbpipe.run.state import RunState
from nbpipe.store import Store, open_store

#: Above 1 relative, below absolute.
TOLERANCE = 1e-6


def reproduce(
    project: Project,
    run: str,
    *,
    tolerance: float = TOLERANCE,
    rebuild: bool = True,
    listener: Callable[[Event], None] | None = None,
    notice: Callable[[str], None] | None = None,
) -> Verdict:
    """Run `run` (an id) again in a scratch project, without the cache, and compare what each stage leaves.

    Nothing is written into the project. With `rebuild`, packages that are not those of then are installed into an
    environment of their own. `listener` hears the events of the new run, `notice` what takes long before it. Raises
    UsageError where there is no such run, where it still runs, or where it left nothing to run; what it needs and cannot
    have is part of the verdict.
    """
    return _Reproduction(project, run, tolerance, rebuild=rebuild).go(listener, notice)


#: Stages that did not come to an end.
_UNFINISHED = ("waiting", "skipped", "cancelled", "running")


class _Reproduction:
    """One run, then and now."""

    def __init__(self, project: Project, run: str, tolerance: float, *, rebuild: bool) -> None:
        self.project = project
        self.run = run
        self.tolerance = tolerance
        self.folder = project.run_folder(run)
        self.state = _ended_state(project, run)
        self.source = notebook_of(project, run)
        self.pipeline: Pipeline = read_bundle(self.folder / BUNDLE)
        record = records.read(self.folder)
        self.seed = record.seed if record is not None else 0
        self.store: Store = open_store((record.store if record is not None else "") or project.store)
        self.view = RunView(project, run)
        self.then = environment.environment_of(self.folder)
        self.apart = tuple(environment.differences(self.then))
        self.rebuild = rebuild and bool(self.apart)
        self.started = time.monotonic()

    def go(self, listener: Callable[[Event], None] | None, notice: Callable[[str], None] | None) -> Verdict:
        """Lay out, run, compare."""
        inputs = self._inputs()
        if inputs.obstacles:
            return self._verdict(obstacles=tuple(inputs.obstacles))
        if self.rebuild and notice is not None and not environment.is_built(self.then):
            notice(f"building an environment with the packages of {self.run}: {', '.join(self.apart)}")
        try:
            python = environment.built(self.then) if self.rebuild else None
        except UnsupportedError as error:
            text = f"{error.message}. {error.fix or ''}".strip()
            return self._verdict(obstacles=(Obstacle(name="the environment", what=f"is not as it was: {text}"),))
        with scratch_project() as scratch:
            notebook = fill(scratch, self.project.root, self.folder, self.state.notebook, self.source, inputs)
            said = run_again(
                notebook, python=python, seed=self.seed, project=self.project, scratch=scratch, listener=listener
            )
            if said["run"] is None:
                why = str((said["error"] or {}).get("message", "it ended without a word"))
                return self._verdict(obstacles=(Obstacle(name="the run", what=f"cannot be made: {why}"),))
            return self._compared(scratch, said["run"], inputs)

    def _inputs(self) -> Inputs:
        """Raises NbpipeError for a store that cannot be read."""
        folder = str(Path(self.state.notebook).parent)
        paths = tuple(sorted({path for path, _ in self.pipeline.modules.values()}))
        bundled = bundled_modules(self.folder, folder, paths)
        runs = {stage.name: self.project.runs / (stage.source or self.run) for stage in self.state.stages}
        jobs = (job for name, place in runs.items() for job in sorted((place / "jobs").glob(f"{name}.*")))
        copies = Copies(self.store, jobs)
        inputs = find_inputs(self._outcomes(), self.project.root, bundled, copies.find)
        names = changed_variables(self._outcomes(), self.store.variable_digest)
        inputs.remarks += [f"the environment variable {name} is not as it was" for name in names]
        return inputs

    def _outcomes(self) -> list[Outcome]:
        found = [self.view.outcome(stage.name) for stage in self.state.stages]
        return [outcome for outcome in found if outcome is not None]

    def _compared(self, scratch: Project, again: str, inputs: Inputs) -> Verdict:
        now = RunView(scratch, again)
        left = [now.outcome(stage.name) for stage in self.state.stages]
        comparison = Comparison(
            Side(self.project.root, self.store, self._outcomes()),
            Side(
                scratch.root,
                open_store(scratch.state / "store"),
                [outcome for outcome in left if outcome is not None],
            ),
            self.tolerance,
            notebook=self.state.notebook,
        )
        stages = tuple(
            comparison.stage(stage.name, self.view.outcome(stage.name), now.outcome(stage.name))
            for stage in self.state.stages
            if stage.status not in _UNFINISHED
        )
        return self._verdict(stages=stages, causes=self._causes(stages, now, inputs))

    def _causes(self, stages: tuple[StageVerdict, ...], now: RunView, inputs: Inputs) -> tuple[str, ...]:
        """For the first stage that is not equal; the ones below it follow from it."""
        first = next((stage for stage in stages if stage.verdict != "equal"), None)
        if first is None:
            return ()
        found: dict[str, None] = {}
        for stage in self.pipeline.stages:
            if stage.name == first.name:
                found |= dict.fromkeys(causes_in(self.pipeline, stage))
        for outcome in (self.view.outcome(first.name), now.outcome(first.name)):
            found |= dict.fromkeys((*outcome.uncacheable, *outcome.warnings) if outcome is not None else ())
        found |= dict.fromkeys(inputs.remarks)
        if not self.rebuild:
            found |= {f"another environment: {line}": None for line in self.apart}
        then, here = self.view.environment(), now.environment()
        for name in ("python", "machine", "os", "cpus", "gpus", "cuda", "cudnn"):
            if then.get(name) != here.get(name) and not (name == "python" and any("Python" in t for t in self.apart)):
                found[f"another {name}: {_plain(then.get(name))} → {_plain(here.get(name))}"] = None
        return tuple(found)

    def _verdict(
        self,
        *,
        obstacles: tuple[Obstacle, ...] = (),
        stages: tuple[StageVerdict, ...] = (),
        causes: tuple[str, ...] = (),
    ) -> Verdict:
        return Verdict(
            run=self.run,
            verdict="impossible" if obstacles else graded(stages),
            tolerance=self.tolerance,
            obstacles=obstacles,
            stages=stages,
            unfinished=tuple(stage.name for stage in self.state.stages if stage.status in _UNFINISHED),
            environment=self.apart,
            rebuilt=self.rebuild,
            causes=causes,
            seconds=time.monotonic() - self.started,
        )


def _ended_state(project: Project, run: str) -> RunState:
    state = detail(project, run).state
    if not state.id:
        raise UsageError(f"{run} never began", name=run, fix=f"See what happened to it: nbpipe show {run}")
    if state.status == "running":
        raise UsageError(f"{run} still runs", name=run, fix=f"Wait for it: nbpipe logs {run} -f")
    return state


def _plain(fact: object) -> str:
    if isinstance(fact, list):
        return ", ".join(str(row.get("name", row)) if isinstance(row, dict) else str(row) for row in fact) or "none"
    return "none" if fact is None else str(fact)
