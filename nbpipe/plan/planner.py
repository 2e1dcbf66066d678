"""HIT or RUN for every stage, and why. Reads the store and the files; starts nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from nbpipe.model import Decision, Pipeline, Plan, Stage, Trace
from nbpipe.pipeline.index import index_of
from nbpipe.plan.champion import compared_model
from nbpipe.plan.constraints import holds
from nbpipe.plan.explain import changes
from nbpipe.plan.resolve import Wanted, wanted
from nbpipe.plan.settled import Settled, differs, left


class Traces(Protocol):
    """The part of a store that planning reads."""

    def lookup(self, key: str, problems: list[str] | None = None) -> list[Trace]:
        """Sound traces under a key, newest first."""

    def latest(self, stage: str, problems: list[str] | None = None) -> Trace | None:
        """The newest trace of a stage."""


class Unkept(msgspec.Struct, frozen=True, kw_only=True):
    """A result of a stage that was not kept: why, and the parts of its key."""

    why: str
    created: float = 0.0
    parts: dict[str, str] = {}
    #: Seconds that it took.
    took: float | None = None


def decide(
    stage: Stage,
    target: Wanted,
    traces: Traces,
    file_digest: Callable[[str], str],
    unkept: Callable[[str], Unkept | None] = lambda _: None,
) -> tuple[Trace | None, tuple[str, ...]]:
    """The newest trace that holds now; or None, and the reasons why the stage has to run.

    `unkept` gives the last result of a stage that was not kept, None where there was none.
    """
    if stage.options.cache == "never":
        return None, ("--no-cache",)
    problems: list[str] = []
    reasons: list[str] = []
    kept = 0.0
    for trace in traces.lookup(target.key, problems):
        kept = max(kept, trace.created)
        reason = holds(trace, target, file_digest)
        if reason is None:
            return trace, ()
        reasons.append(reason)
    missed = unkept(stage.name)
    if missed is not None and missed.created > kept and not changes(missed.parts, target.parts):
        return None, (f"its last result was not kept: {missed.why}",)
    if reasons or problems:
        return None, tuple(dict.fromkeys([*reasons, *(f"the stored result is damaged: {text}" for text in problems)]))
    latest = traces.latest(stage.name)
    if missed is not None and (latest is None or missed.created > latest.created):
        return None, changes(missed.parts, target.parts)
    if latest is None:
        return None, ("first run",)
    return None, changes(latest.parts, target.parts) or ("its last result was not kept",)


def make_plan(  # noqa: PLR0913 - what a plan depends on
    pipeline: Pipeline,
    params: Mapping[str, Any],
    traces: Traces,
    *,
    file_digest: Callable[[str], str],
    as_of: Callable[[Wanted], Callable[[str], str]] | None = None,
    seed: int = 0,
    champion: Callable[[str], Mapping[str, float]] = lambda _: {},
    unkept: Callable[[str], Unkept | None] = lambda _: None,
    forced: frozenset[str] = frozenset(),
    selected: frozenset[str] | None = None,
) -> Plan:
    """The plan of a run with these parameters (overridden values), in notebook order.

    Below a stage that runs nothing is certain: those decisions are tentative. `as_of` gives the digests that a stage would
    find once the files of those above it are put in place; without, they are those of now.
    """
    index = index_of(pipeline)
    committed = Settled(index)
    decisions = []
    running: set[str] = set()
    for stage in pipeline.stages:
        if selected is not None and stage.name not in selected:
            continue
        on = stage.options.on or ""
        model = compared_model(pipeline, stage)
        best = champion(model) if model is not None else {}
        target = wanted(pipeline, stage.name, committed, params, seed=seed, champion=best)
        if target is None:
            direct = index.sources.get(stage.name, set()) | set(stage.after)
            above = sorted(direct & running, key=index.position.__getitem__)
            why: tuple[str, ...] = (_above_runs(above),)
            took = _seconds(traces, stage, unkept)
            decisions.append(
                Decision(stage=stage.name, action="RUN", reasons=why, expected=took, on=on, tentative=True)
            )
            running.add(stage.name)
            continue
        trace, reasons = decide(stage, target, traces, as_of(target) if as_of else file_digest, unkept)
        if trace is not None and stage.name not in forced:
            committed.add(stage.name, trace.outcome)
            token = trace.outcome.token
            hit = Decision(stage=stage.name, action="HIT", key=target.key, source=trace.run, result=token, expected=0.0)
            decisions.append(hit)
            continue
        why = reasons or ("asked for",)
        took = _seconds(traces, stage, unkept)
        decisions.append(Decision(stage=stage.name, action="RUN", reasons=why, key=target.key, expected=took, on=on))
        running.add(stage.name)
    stands = {} if running else left(committed.values())
    return Plan(
        pipeline=pipeline.name,
        version=pipeline.version,
        decisions=tuple(decisions),
        warnings=pipeline.warnings,
        restores=tuple(
            sorted(path.removesuffix("./") for path, state in stands.items() if differs(state, file_digest))
        ),
    )


def _seconds(traces: Traces, stage: Stage, unkept: Callable[[str], Unkept | None]) -> float | None:
    """What the stage took last; asked only of stages that run, because looking for it reads many traces."""
    latest, missed = traces.latest(stage.name), unkept(stage.name)
    if missed is not None and (latest is None or missed.created > latest.created):
        return missed.took
    return latest.outcome.seconds.get("total") if latest is not None else None


def _above_runs(names: list[str]) -> str:
    """`a, b and c run`."""
    *first, last = names or ["a stage above"]
    return f"{', '.join(first)} and {last} run" if first else f"{last} runs"
