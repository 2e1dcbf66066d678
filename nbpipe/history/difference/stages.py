"""Stages of A and B, matched: what became of each, and in which parts it differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from nbpipe.history.difference.code import meaning_of
from nbpipe.history.difference.matching import Pair, Piece, match, moved
from nbpipe.history.difference.shape import (
    PARTS,
    CodeDiff,
    Diff,
    EnvironmentDiff,
    Fate,
    MetricDiff,
    ParamDiff,
    Part,
    StageDiff,
)
from nbpipe.history.difference.shape_values import FileDiff, OutputDiff, ValueDiff
from nbpipe.history.difference.view import Unit, View
from nbpipe.plan.explain import changes


def match_stages(a: View, b: View) -> list[StageDiff]:
    """Every stage of both sides once, in the order of B. `differs` is filled later: see `with_differences`."""
    old, new = a.sources().stages, b.sources().stages
    pairs = match([_piece(unit) for unit in old], [_piece(unit) for unit in new])
    elsewhere = moved(pairs)
    return [_stage(a, b, pair, old, new, has_moved=pair.b in elsewhere) for pair in pairs]


def only(stages: Sequence[StageDiff], name: str) -> list[StageDiff]:
    """Those that have this name on either side."""
    return [stage for stage in stages if name in (stage.a, stage.b)]


def names_in_b(stages: Iterable[StageDiff]) -> dict[str, str]:
    """Stages of A -> their names in B, of those that are there."""
    return {stage.a: stage.b for stage in stages if stage.a and stage.b}


def with_differences(diff: Diff) -> Diff:
    """The diff whose stages say in which parts they differ; one that differs in any is `changed`."""
    parts: dict[str, set[Part]] = {}

    def note(part: Part, names: Iterable[str]) -> None:
        for name in names:
            parts.setdefault(name, set()).add(part)

    for code in diff.code:
        if code.change != "same" and code.meaning not in ("none", "format"):
            note("code", (code.name,) if code.unit == "stage" else code.stages)
    for param in diff.params:
        if param.value_changed:
            note("params", param.stages)
    for metric in diff.metrics:
        if metric.change != "same":
            note("metrics", (metric.stage,))
    for value in diff.data:
        if value.change != "same":
            note("data", (value.stage,))
    for file in diff.files:
        if file.change != "same":
            note("data", file.stages)
    for output in diff.outputs:
        if output.change != "same":
            note("outputs", (output.stage,))
    stages = tuple(_told(stage, parts.get(stage.name, set())) for stage in diff.stages)
    return msgspec.structs.replace(diff, stages=stages)


def counts_of(diff: Diff) -> dict[str, int]:
    """Differences per part that was looked at. A stage that only changed places counts with the code."""
    shown = {code.name for code in diff.code if code.unit == "stage" and code.change != "same"}
    moved_only = [stage for stage in diff.stages if stage.moved and stage.name not in shown]
    lists: dict[
        str, Sequence[CodeDiff | ParamDiff | MetricDiff | EnvironmentDiff | ValueDiff | FileDiff | OutputDiff]
    ] = {
        "code": diff.code,
        "params": diff.params,
        "metrics": diff.metrics,
        "environment": diff.environment,
        "data": (*diff.data, *diff.files),
        "outputs": diff.outputs,
    }
    found: dict[str, int] = {part: sum(each.change != "same" for each in lists[part]) for part in diff.parts}
    if "code" in found:
        found["code"] += len(moved_only)
    return found


def _told(stage: StageDiff, parts: set[Part]) -> StageDiff:
    change: Fate = "changed" if stage.change == "same" and (parts or stage.reasons) else stage.change
    if change in ("added", "removed"):
        return stage
    return msgspec.structs.replace(stage, change=change, differs=tuple(part for part in PARTS if part in parts))


def _stage(a: View, b: View, pair: Pair, old: Sequence[Unit], new: Sequence[Unit], *, has_moved: bool) -> StageDiff:
    left = old[pair.a] if pair.a is not None else None
    right = new[pair.b] if pair.b is not None else None
    one = right or left
    assert one is not None  # noqa: S101 - a pair has at least one side
    name_a, name_b = left.text.name if left else "", right.text.name if right else ""
    before, after = a.facts(name_a), b.facts(name_b)
    reasons: tuple[str, ...] = ()
    if left is None or right is None:
        change: Fate = "added" if left is None else "removed"
    else:
        changed = meaning_of(left, right) in ("code", "options")
        change = "renamed" if name_a != name_b else "changed" if changed else "same"
        if not before.identity or before.identity != after.identity:
            reasons = _reasons(a.key_parts(name_a), b.key_parts(name_b), renamed=name_a != name_b)
    return StageDiff(
        name=one.text.name,
        change=change,
        kind=one.kind,
        a=name_a,
        b=name_b,
        moved=has_moved,
        similarity=round(pair.similarity, 3),
        reasons=reasons,
        a_status=before.status,
        b_status=after.status,
        a_seconds=before.seconds,
        b_seconds=after.seconds,
    )


def _reasons(before: Mapping[str, str], after: Mapping[str, str], *, renamed: bool) -> tuple[str, ...]:
    if not before or not after:
        return ()
    # Each name has a seed of its own: of a stage that was renamed it says nothing about the run's.
    return changes({**before, "seed": after.get("seed", "")} if renamed else before, after)


def _piece(unit: Unit) -> Piece:
    return Piece(unit.text.name, "\n".join(unit.bodies))
