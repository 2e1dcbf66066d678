"""The plan of a notebook: the steps that a run takes before it starts anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nbpipe.model import Pipeline, Plan
from nbpipe.notebook.reader import read_notebook
from nbpipe.pipeline.extract import extract
from nbpipe.pipeline.params import resolve_params
from nbpipe.plan.facts import Files
from nbpipe.plan.planner import make_plan
from nbpipe.run import merges
from nbpipe.run.project import Project, find_project
from nbpipe.run.selection import select
from nbpipe.store import open_store


def plan_notebook(  # noqa: PLR0913 - as many as `run_notebook`
    path: Path,
    *,
    params: Mapping[str, str],
    profile: str | None = None,
    only: str | None = None,
    from_: str | None = None,
    until: str | None = None,
    fresh: bool = False,
    seed: int = 0,
    store: str | None = None,
) -> Plan:
    """What `run_notebook` with the same arguments would do. Raises as it does; starts and writes nothing."""
    notebook = read_notebook(path)
    project = find_project(path)
    place = open_store(store or project.store)
    pipeline = extract(path, observed=place.hints.observed, merges=merges.known(project, notebook))
    values = resolve_params(pipeline.params, params, profile, pipeline.profiles)
    chosen = select(pipeline, only=only, from_=from_, until=until, fresh=fresh)
    return make_plan(
        pipeline,
        values,
        place.traces,
        file_digest=Files(project.root).digest,
        seed=seed,
        champion=lambda: _champion(pipeline, project),
        forced=chosen["forced"],
        selected=chosen["selected"],
    )


def _champion(pipeline: Pipeline, project: Project) -> Mapping[str, float]:
    """Metrics of the registered champion that checks compare with; asked for only where a check does."""
    from nbpipe.tracking.registry import champion_metrics

    name = next((stage.options.register for stage in pipeline.stages if stage.options.register), None)
    return champion_metrics(project.root, name) if name is not None else {}
