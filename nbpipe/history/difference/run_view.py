"""A run as its folder records it. Reads files only; what is not there is noted, not raised."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nbpipe.errors import NbpipeError, StoreError
from nbpipe.history.difference.curves import curves_of_job
from nbpipe.history.difference.parameters import param_values
from nbpipe.history.difference.shape import Note, ParamValue, Part, Side
from nbpipe.history.difference.sources import sources_of
from nbpipe.history.difference.view import Executed, Facts, Sources
from nbpipe.history.query import detail
from nbpipe.model import Artifact, FileState, Outcome, Pipeline
from nbpipe.notebook.reader import parse_notebook
from nbpipe.pipeline.bundle import read_bundle
from nbpipe.run import record as records
from nbpipe.run.project import Project
from nbpipe.store import Store, open_store

if TYPE_CHECKING:
    from nbpipe.run.state import StageState
    from nbpipe.store.base import ObjectStore

#: Names of stages become parts of paths only where they are names.
_NAME = re.compile(r"[a-z][a-z0-9_-]*")
#: Statuses of a stage that left a result.
_DONE = ("succeeded", "cached")


class _Wanted(msgspec.Struct):
    key: str = ""
    parts: dict[str, str] = {}


class _Spec(msgspec.Struct):
    inputs: dict[str, Artifact] = {}


class RunView:
    """A run, read file by file as it is asked for. Must not write, nor load a value."""

    def __init__(self, project: Project, run: str) -> None:
        found = detail(project, run)
        summary = found.summary
        self.about = Side(
            label=run,
            kind="run",
            notebook=summary.notebook,
            name=summary.name,
            version=summary.version,
            number=summary.number,
            status=summary.status,
            started=summary.started,
            seconds=summary.seconds,
        )
        self.notes: list[Note] = []
        self._project = project
        self._run = run
        self._folder = found.folder
        self._state = found.state
        self._stages = {stage.name: stage for stage in found.state.stages}
        self._record = records.read(found.folder)
        self._outcomes: dict[str, Outcome | None] = {}
        self._jobs: dict[str, Path | None] = {}

    # -- code and parameters

    @cached_property
    def _pipeline(self) -> Pipeline:
        try:
            return read_bundle(self._folder / "bundle")
        except NbpipeError as error:
            self._note("code", f"{self._run}: {error.message}")
            return Pipeline(name=self.about.name, stages=())

    @cached_property
    def _sources(self) -> Sources:
        return sources_of(self._pipeline, self._cells(), self._module)

    def sources(self) -> Sources:
        """Its code, from its bundle."""
        return self._sources

    def params(self) -> Mapping[str, ParamValue]:
        """What it ran with, against what its notebook says."""
        return param_values(self._pipeline, self._state.params, self._state.given)

    # -- stages

    def facts(self, stage: str) -> Facts:
        """As the journal tells."""
        state = self._stages.get(stage)
        if state is None:
            return Facts()
        key = self._record.keys.get(stage, "") if self._record is not None else ""
        # Under one key there may be several results, where a stage is not repeatable: the run that made it tells them apart.
        identity = f"{key} {self._origin(stage)}" if key and state.status in _DONE else ""
        return Facts(status=state.status, seconds=state.seconds, metrics=state.metrics, identity=identity)

    def key_parts(self, stage: str) -> Mapping[str, str]:
        """From the folder of the job that made the result."""
        job = self._job(stage)
        found = _read(job / "wanted.json", _Wanted) if job is not None else None
        return found.parts if found is not None else {}

    def outcome(self, stage: str) -> Outcome | None:
        """From the job that made the result, else from the store."""
        if stage not in self._outcomes:
            self._outcomes[stage] = self._find_outcome(stage)
        return self._outcomes[stage]

    def inputs(self, stage: str) -> Mapping[str, Artifact]:
        """From the job's specification."""
        job = self._job(stage)
        found = _read(job / "job.json", _Spec) if job is not None else None
        return found.inputs if found is not None else {}

    def curves(self, stage: str) -> Mapping[str, Sequence[tuple[int, float]]]:
        """What the cells logged, from the job's folder; once that is gone, from the embedded MLflow."""
        state = self._stages.get(stage)
        run = (state.source or self._run) if state is not None else ""
        return curves_of_job(self._job(stage), self._project.root, run, stage)

    def executed(self, stage: str) -> Executed | None:
        """From the store."""
        outcome = self.outcome(stage)
        store = self._store
        if outcome is None or not outcome.executed or store is None:
            return None
        objects, digest = store.objects, outcome.executed

        def read() -> Sequence[Mapping[str, Any]]:
            try:
                return msgspec.json.decode(objects.get_bytes(digest), type=list[dict[str, Any]])
            except (StoreError, msgspec.MsgspecError) as error:
                self._note("outputs", f"{self._run}, stage '{stage}': its outputs cannot be read: {error}")
                return ()

        try:
            return Executed(digest, objects.size(digest), read)
        except StoreError as error:
            self._note("outputs", f"{self._run}, stage '{stage}': {error.message}")
            return None

    # -- where and with what

    def environment(self) -> Mapping[str, Any]:
        """From `environment.json`."""
        found = _read(self._folder / "environment.json", dict[str, Any])
        if found is None:
            self._note("environment", f"{self._run} has no record of its environment")
        return found or {}

    def file_now(self, path: str) -> FileState | None:  # noqa: ARG002 - of no file
        """None: files are as they were."""
        return None

    def objects(self) -> ObjectStore | None:
        """Of the store that the run used."""
        return self._store.objects if self._store is not None else None

    # -- its files

    @cached_property
    def _store(self) -> Store | None:
        try:
            return open_store((self._record.store if self._record is not None else "") or self._project.store)
        except NbpipeError as error:
            self._note("data", f"{self._run}: its store cannot be opened: {error.message}")
            return None

    def _cells(self) -> dict[int, str]:
        """Whole cells by number; empty where stages were joined, or the notebook cannot be read."""
        bundle = self._folder / "bundle"
        suffix = Path(self.about.notebook).suffix
        for path in (bundle / f"notebook{suffix}", bundle / "notebook.ipynb"):
            try:
                book = parse_notebook(path.read_bytes(), path.name)
            except (OSError, NbpipeError):
                continue
            return {cell.number: cell.source for cell in book.cells}
        return {}

    def _module(self, path: str) -> str | None:
        """Source of a module, from the bundle; the path is data and must not lead out of it."""
        root = (self._folder / "bundle" / "modules").resolve()
        try:
            place = (root / (Path(path).name if path.startswith("..") else path)).resolve()
            return place.read_bytes().decode("utf-8", "replace") if place.is_relative_to(root) else None
        except (OSError, ValueError):
            return None

    def _origin(self, stage: str) -> str:
        """The run that made the stage's result, or the scheduler's id of it."""
        state = self._stages.get(stage)
        return (state.source or state.made or self._run) if state is not None else ""

    def _job(self, stage: str) -> Path | None:
        """Folder of the job that made the stage's result, as long as it is there."""
        if stage not in self._jobs:
            self._jobs[stage] = self._find_job(stage)
        return self._jobs[stage]

    def _find_job(self, stage: str) -> Path | None:
        state = self._stages.get(stage)
        if state is None or not _NAME.fullmatch(stage):
            return None
        if not state.source:
            return _existing(self._folder / "jobs" / f"{stage}.{state.attempt}")
        return self._job_elsewhere(state)

    def _job_elsewhere(self, state: StageState) -> Path | None:
        if state.source not in self._project.run_ids():
            return None
        folders = (self._project.runs / state.source / "jobs").glob(f"{state.name}.*")
        for folder in sorted(folders, key=_attempt, reverse=True):
            found = _read(folder / "verdict.json", Outcome)
            wanted = _read(folder / "wanted.json", _Wanted)
            key = self._record.keys.get(state.name) if self._record is not None else None
            # While a run goes on, its keys are not on record yet: then the last result of its source is the one.
            if found is not None and found.status == "succeeded" and wanted is not None and key in (None, wanted.key):
                return folder
        return None

    def _find_outcome(self, stage: str) -> Outcome | None:
        state = self._stages.get(stage)
        if state is None or state.status in ("waiting", "skipped", "running"):
            return None
        job = self._job(stage)
        found = _read(job / "verdict.json", Outcome) if job is not None else None
        key = self._record.keys.get(stage, "") if self._record is not None else ""
        if found is not None or not key or self._store is None:
            return found
        try:
            traces = self._store.traces.lookup(key)
        except StoreError as error:
            self._note("data", f"{self._run}, stage '{stage}': {error.message}")
            return None
        made = next((trace for trace in traces if trace.run == self._origin(stage)), None)
        if made is None:
            self._note("data", f"{self._run}, stage '{stage}': its result is not in the store any more")
        return made.outcome if made is not None else None

    def _note(self, part: Part, text: str) -> None:
        note = Note(part=part, text=text)
        if note not in self.notes:
            self.notes.append(note)


def _read(path: Path, kind: Any) -> Any:
    """A JSON file; None if it is not there or not whole."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None


def _existing(folder: Path) -> Path | None:
    return folder if folder.is_dir() else None


def _attempt(folder: Path) -> int:
    number = folder.name.rpartition(".")[2]
    return int(number) if number.isdecimal() else 0
