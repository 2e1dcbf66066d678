"""One of the two runs, as it was: its notebook, pipeline, parameters, results, and what its metric depended on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.dataflow.links import edges
from nbpipe.errors import NotebookError, UnsupportedError, UsageError
from nbpipe.job.folder import read_spec, read_verdict
from nbpipe.model import Notebook, Outcome, Outline, Pipeline, Stage
from nbpipe.notebook.quantities import did_you_mean
from nbpipe.notebook.reader import TEXT_SUFFIXES, parse_notebook
from nbpipe.notebook.stages import outline
from nbpipe.pipeline.bundle import read_bundle
from nbpipe.pipeline.code import code_hash
from nbpipe.run import record as records
from nbpipe.run.journal import JOURNAL, read
from nbpipe.run.project import Project
from nbpipe.run.selection import select
from nbpipe.run.state import RunState, replay
from nbpipe.store import Store


@dataclass(frozen=True, slots=True)
class Side:
    """A finished run. `upstream` are the stages that its metric depends on, the one that gives it last."""

    run: str
    value: float
    record: records.Record
    notebook: Notebook
    outline: Outline
    pipeline: Pipeline
    bundle: Path
    #: In notebook order.
    upstream: tuple[Stage, ...]
    #: Of those stages; one whose result is gone is not there.
    outcomes: Mapping[str, Outcome]

    @property
    def params(self) -> Mapping[str, Any]:
        """Every parameter's value; of those that the params cell computes only the ones that were given."""
        return self.record.params


def load_side(project: Project, run: str, metric: str, store: Store) -> Side:
    """The run `run` (an id). Raises UsageError where it is not finished, lacks the metric, or left no bundle."""
    folder = project.run_folder(run)
    record = records.read(folder)
    state = replay(read(folder / JOURNAL))
    if record is None and state.status != "running":
        what = f"what {run} was cannot be read: its run.json is gone or damaged"
        raise UsageError(what, name=run, fix="Run it again, and explain that run.")
    if record is None or (state.status == "running" and records.is_alive(record)):
        raise UsageError(f"{run} is still running", name=run, fix=f"Wait for its end: nbpipe logs -f {run}")
    if metric not in state.metrics:
        names = sorted(state.metrics)
        fix = did_you_mean(metric, names) or (f"It has: {', '.join(names)}." if names else "It has no metrics.")
        raise UsageError(f"{run} ({state.status}) has no metric '{metric}'", name=metric, fix=fix)
    bundle = folder / "bundle"
    pipeline = read_bundle(bundle)
    pipeline = _with_edges(pipeline, store)
    giver = [stage.name for stage in state.stages if metric in stage.metrics][-1]
    above = select(pipeline, only=None, from_=None, until=giver, fresh=False)["selected"]
    notebook = _notebook(bundle, record.notebook)
    found = Side(
        run=run,
        value=state.metrics[metric],
        record=record,
        notebook=notebook,
        outline=outline(notebook),
        pipeline=pipeline,
        bundle=bundle,
        upstream=tuple(stage for stage in pipeline.stages if stage.name in above),
        outcomes=_outcomes(folder, record, state, store, above),
    )
    _refuse_other_folders(found)
    return found


def _notebook(bundle: Path, path: str) -> Notebook:
    for suffix in (".ipynb", *TEXT_SUFFIXES):
        file = bundle / f"notebook{suffix}"
        if file.is_file():
            return parse_notebook(file.read_bytes(), f"{path.removesuffix(Path(path).suffix)}{suffix}")
    raise NotebookError(f"the bundle {bundle} holds no notebook", name=str(bundle))


def _with_edges(pipeline: Pipeline, store: Store) -> Pipeline:
    """A bundle is the same on every machine: what was observed here is in the store."""
    facts = {
        stage.name: seen for stage in pipeline.stages if (seen := store.hints.observed(code_hash(pipeline, stage)))
    }
    return msgspec.structs.replace(pipeline, edges=edges(pipeline.stages, facts))


def _outcomes(
    folder: Path, record: records.Record, state: RunState, store: Store, wanted: frozenset[str]
) -> dict[str, Outcome]:
    """What the stages gave: the verdict of the job where the run ran it, else the stored result it reused."""
    found = {}
    for stage in state.stages:
        if stage.name not in wanted:
            continue
        outcome = None
        if stage.status == "succeeded":
            job = folder / "jobs" / f"{stage.name}.{stage.attempt}"
            spec = read_spec(job) if (job / "job.json").is_file() else None
            outcome = read_verdict(job, spec.token) if spec is not None else None
        if outcome is None and stage.name in record.keys:
            traces = store.traces.lookup(record.keys[stage.name])
            sources = [trace for trace in traces if trace.run in {stage.source, record.id}]
            outcome = next((trace.outcome for trace in [*sources, *traces]), None)
        if outcome is not None:
            found[stage.name] = outcome
    return found


def _refuse_other_folders(side: Side) -> None:
    """Raise UnsupportedError where a stage leaves another working directory: runs elsewhere would come back to it."""
    for stage, outcome in side.outcomes.items():
        if any(state.name == "@cwd" and state.artifact is not None for state in outcome.ambient):
            raise UnsupportedError(
                f"{side.run} changes the working directory, so that it cannot be run in another place",
                stage=stage,
                fix="Use paths from the notebook's folder instead of os.chdir.",
            )
