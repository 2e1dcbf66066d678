"""Which stage waits for which: what the definition of a scheduler draws, and what a stage of it may rely on. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from nbpipe.model import Pipeline
from nbpipe.plan.resolve import providers

Order = Mapping[str, tuple[str, ...]]


def order_of(pipeline: Pipeline) -> dict[str, tuple[str, ...]]:
    """Stage -> stages it waits for directly, both in notebook order; what follows from others is left out."""
    position = {stage.name: n for n, stage in enumerate(pipeline.stages)}
    above: dict[str, set[str]] = {}
    found: dict[str, tuple[str, ...]] = {}
    for stage in pipeline.stages:
        direct = providers(pipeline, stage, {})
        further = {name for each in direct for name in above[each]}
        above[stage.name] = direct | further
        found[stage.name] = tuple(sorted(direct - further, key=position.__getitem__))
    return found


def ancestors(order: Order, stage: str) -> set[str]:
    """Every stage that has finished before this one may start."""
    found: set[str] = set()
    todo = [stage]
    while todo:
        new = set(order[todo.pop()]) - found
        found |= new
        todo += new
    return found
