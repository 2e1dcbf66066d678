"""Nothing to do? Then say so at once, without a run folder, an executor, or anything heavy."""

from __future__ import annotations

from contextvars import ContextVar

from nbpipe.model import Notebook, Pipeline, Trace
from nbpipe.pipeline.index import index_of
from nbpipe.plan.constraints import holds
from nbpipe.plan.facts import Outside
from nbpipe.plan.resolve import wanted
from nbpipe.plan.settled import Settled, differs, left
from nbpipe.run import record as records
from nbpipe.run.project import Project
from nbpipe.run.settings import Settings
from nbpipe.store import Store

_LATEST = 20
#: Whether who asks only wants to know if there is nothing to do.
LOOKING: ContextVar[bool] = ContextVar("looking", default=False)


class Unsettled(BaseException):
    """Where that was all that was asked."""


def up_to_date(
    pipeline: Pipeline, project: Project, store: Store, settings: Settings, notebook: Notebook
) -> records.Record | None:
    """The record of the latest run that gave just what this one would give; None if anything has to be done.

    A run whose executed copy is gone, or whose files are not on disk as it left them, does not count.
    """
    if settings.forced or settings.selected is not None:
        return None
    candidates = [r for run in project.run_ids()[:_LATEST] if (r := records.read(project.runs / run)) is not None]
    candidates = [r for r in candidates if r.status == "succeeded" and r.sha256 == notebook.sha256]
    if not candidates:
        return None
    outside = Outside(project.root, store.variable_digest)
    committed = Settled(index_of(pipeline))
    tokens: dict[str, str] = {}
    for stage in pipeline.stages:
        if stage.options.cache == "never" or any("champion" in text for text in stage.options.thresholds):
            return None
        target = wanted(pipeline, stage.name, committed, settings.params, seed=settings.seed)
        if target is None:
            return None
        found = store.traces.lookup(target.key)
        trace: Trace | None = next((t for t in found if holds(t, target, outside.digest) is None), None)
        if trace is None:
            return None
        committed.add(stage.name, trace.outcome)
        tokens[stage.name] = trace.outcome.token
    if any(differs(state, outside.digest) for state in left(committed.values()).values()):
        return None
    same = (r for r in candidates if r.results == tokens and (project.root / r.executed).exists())
    return next(same, None)
