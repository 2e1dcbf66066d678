"""`plan_notebook`: what a run would do. Starts nothing, writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.model import Notebook, Pipeline, Plan
from nbpipe.notebook.reader import read_notebook
from nbpipe.notebook.stages import outline
from nbpipe.pipeline.extract import extract_outline
from nbpipe.pipeline.params import resolve_params
from nbpipe.plan.facts import Outside
from nbpipe.plan.planner import make_plan
from nbpipe.run import merges
from nbpipe.run import record as records
from nbpipe.run.earlier import given_params
from nbpipe.run.expected import expected_seconds
from nbpipe.run.files import Disk
from nbpipe.run.project import Project, find_project, relative
from nbpipe.run.resources import without_gpus
from nbpipe.run.results import Results
from nbpipe.run.selection import select
from nbpipe.run.settings import Settings
from nbpipe.store import Store, open_store
from nbpipe.targets.settings import LOCAL

#: Newest runs among which one is looked for that has everything already.
_LATEST = 20


class Planned(msgspec.Struct, frozen=True):
    """A plan, and the pipeline it is of."""

    plan: Plan
    pipeline: Pipeline
    #: The run that has everything already; None where there is something to do.
    up_to_date: str | None


def plan_notebook(  # noqa: PLR0913 - as many as `run_notebook`
    path: str | Path,
    *,
    params: Mapping[str, Any] | None = None,
    params_from: str | None = None,
    profile: str | None = None,
    only: str | None = None,
    from_: str | None = None,
    until: str | None = None,
    fresh: bool = False,
    seed: int = 0,
    store: str | None = None,
) -> Plan:
    """What `run_notebook` with the same arguments would do. Raises as it does before it starts."""
    return plan_pipeline(
        read_notebook(Path(path)),
        params=params,
        params_from=params_from,
        profile=profile,
        only=only,
        from_=from_,
        until=until,
        fresh=fresh,
        seed=seed,
        store=store,
    ).plan


def plan_pipeline(  # noqa: PLR0913 - likewise
    notebook: Notebook,
    *,
    params: Mapping[str, Any] | None = None,
    params_from: str | None = None,
    profile: str | None = None,
    only: str | None = None,
    from_: str | None = None,
    until: str | None = None,
    fresh: bool = False,
    seed: int = 0,
    store: str | None = None,
) -> Planned:
    """The same for a notebook that was read, or as it stands in an editor."""
    path = Path(notebook.path)
    project = find_project(path)
    place = open_store(store or project.store)
    joined = merges.known(project, notebook)
    pipeline = extract_outline(outline(notebook), path.parent, observed=place.hints.observed, merges=joined)
    earlier = given_params(project, params_from, pipeline.params) if params_from is not None else None
    values = resolve_params(pipeline.params, params or {}, profile, pipeline.profiles, earlier=earlier)
    chosen = select(pipeline, only=only, from_=from_, until=until, fresh=fresh)

    def champion(name: str) -> Mapping[str, float]:
        from nbpipe.tracking.registry import champion_metrics

        return champion_metrics(project.root, name)

    results = Results(place, pipeline.name)
    outside = Outside(project.root, place.variable_digest)
    plan = make_plan(
        pipeline,
        values,
        results,
        file_digest=outside.digest,
        as_of=Disk(outside.digest, project.root, place).as_of,
        seed=seed,
        champion=champion,
        unkept=results.unkept,
        forced=chosen["forced"],
        selected=chosen["selected"],
    )
    running = {item.stage for item in plan.decisions if item.action == "RUN" and item.on in ("", LOCAL)}
    short = without_gpus(stage for stage in pipeline.stages if stage.name in running)
    plan = msgspec.structs.replace(plan, warnings=(*plan.warnings, *short)) if short else plan
    if pipeline.profiles:
        plan = _timed(plan, expected_seconds(project, relative(path, project.root), profile))
    return Planned(plan, pipeline, _has_everything(project, plan) if chosen["selected"] is None else None)


def _timed(plan: Plan, seconds: Mapping[str, float]) -> Plan:
    """The plan with these times for what runs: the latest result of a stage may be one of a quick pass."""
    replace = msgspec.structs.replace
    decisions = (
        item if item.action == "HIT" else replace(item, expected=seconds.get(item.stage)) for item in plan.decisions
    )
    return replace(plan, decisions=tuple(decisions))


def stages_to_run(project: Project, store: Store, pipeline: Pipeline, settings: Settings) -> set[str]:
    """Stages that run or may have to, as far as is known before anything has."""
    from nbpipe.tracking.registry import champion_metrics

    outside = Outside(project.root, store.variable_digest)
    plan = make_plan(
        pipeline,
        settings.params,
        Results(store, pipeline.name),
        file_digest=outside.digest,
        as_of=Disk(outside.digest, project.root, store).as_of,
        seed=settings.seed,
        champion=lambda name: champion_metrics(project.root, name),
        forced=settings.forced,
        selected=settings.selected,
    )
    return {item.stage for item in plan.decisions if item.action == "RUN"}


def _has_everything(project: Project, plan: Plan) -> str | None:
    """The latest run that ended with just these results."""
    if plan.restores or any(item.action == "RUN" for item in plan.decisions):
        return None
    tokens = {item.stage: item.result for item in plan.decisions}
    found = ((run, records.read(project.runs / run)) for run in project.run_ids()[:_LATEST])
    same = (
        run for run, record in found if record is not None and record.status == "succeeded" and record.results == tokens
    )
    return next(same, None)
