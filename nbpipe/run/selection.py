"""`--only`, `--from`, `--until`, `--fresh`: which stages take part, and which run whatever the cache holds. Pure."""

from __future__ import annotations

from typing import Any

from nbpipe.errors import UsageError
from nbpipe.model import Pipeline
from nbpipe.notebook.quantities import did_you_mean


def select(
    pipeline: Pipeline, *, only: str | None, from_: str | None, until: str | None, fresh: bool
) -> dict[str, Any]:
    """Fields of `Settings`. Raises UsageError for a stage that is not there.

    `only`: that stage runs, everything it needs must be cached. `from_`: that stage and all that depend on it run.
    `until`: that stage and what it needs take part.
    """
    names = [stage.name for stage in pipeline.stages]
    for name in (only, from_, until):
        if name is not None and name not in names:
            raise UsageError(
                f"there is no stage '{name}'", name=name, fix=did_you_mean(name, names) or f"Stages: {', '.join(names)}"
            )
    if only is not None and (from_ is not None or until is not None):
        raise UsageError("--only goes without --from and --until", fix="Use one of them.")
    forced: set[str] = set(names) if fresh else set()
    selected: set[str] | None = None
    cached: set[str] = set()
    if until is not None:
        selected = _above(pipeline, until) | {until}
    if from_ is not None:
        forced |= _below(pipeline, from_) | {from_}
    if only is not None:
        cached = _above(pipeline, only)
        selected, forced = cached | {only}, {only}
    return {
        "forced": frozenset(forced),
        "selected": frozenset(selected) if selected is not None else None,
        "cached_only": frozenset(cached),
    }


def _above(pipeline: Pipeline, name: str) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        target = todo.pop()
        sources = {edge.source for edge in pipeline.edges if edge.target == target} - found
        found |= sources
        todo += sources
    return found


def _below(pipeline: Pipeline, name: str) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        source = todo.pop()
        targets = {edge.target for edge in pipeline.edges if edge.source == source} - found
        found |= targets
        todo += targets
    return found
