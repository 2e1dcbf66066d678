"""`plan_notebook`: what a run would do. Starts nothing, writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbpipe.model import Plan
from nbpipe.notebook.reader import read_notebook
from nbpipe.pipeline.extract import extract
from nbpipe.pipeline.params import resolve_params
from nbpipe.plan.facts import Outside
from nbpipe.plan.planner import make_plan
from nbpipe.run import merges
from nbpipe.run.project import find_project
from nbpipe.run.results import Results
from nbpipe.run.selection import select
from nbpipe.store import open_store


def plan_notebook(  # noqa: PLR0913 - as many as `run_notebook`
    path: str | Path,
    *,
    params: Mapping[str, Any] | None = None,
    profile: str | None = None,
    only: str | None = None,
    from_: str | None = None,
    until: str | None = None,
    fresh: bool = False,
    seed: int = 0,
    store: str | None = None,
) -> Plan:
    """What `run_notebook` with the same arguments would do. Raises as it does before it starts."""
    notebook = read_notebook(Path(path))
    project = find_project(Path(path))
    place = open_store(store or project.store)
    pipeline = extract(Path(path), observed=place.hints.observed, merges=merges.known(project, notebook))
    values = resolve_params(pipeline.params, params or {}, profile, pipeline.profiles)
    chosen = select(pipeline, only=only, from_=from_, until=until, fresh=fresh)

    def champion(name: str) -> Mapping[str, float]:
        from nbpipe.tracking.registry import champion_metrics

        return champion_metrics(project.root, name)

    return make_plan(
        pipeline,
        values,
        Results(place, pipeline.name),
        file_digest=Outside(project.root, place.variable_digest).digest,
        seed=seed,
        champion=champion,
        forced=chosen["forced"],
        selected=chosen["selected"],
    )
