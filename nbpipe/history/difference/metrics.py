"""The part `metrics`: final values and curves, stage by stage."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nbpipe.history.difference.curves import Curve, thinned
from nbpipe.history.difference.shape import Change, CurveDiff, MetricDiff, StageDiff
from nbpipe.history.difference.view import View


def metric_diffs(a: View, b: View, stages: Sequence[StageDiff], *, everything: bool) -> list[MetricDiff]:
    """In the order of B's stages; a curve that differs counts, even where its end is the same."""
    found: list[MetricDiff] = []
    for stage in stages:
        before, after = a.facts(stage.a), b.facts(stage.b)
        same = bool(before.identity) and before.identity == after.identity
        if same and not everything:
            continue
        old_curves = a.curves(stage.a) if stage.a else {}
        new_curves = old_curves if same else b.curves(stage.b) if stage.b else {}
        names = [*after.metrics, *(name for name in before.metrics if name not in after.metrics)]
        names += sorted((old_curves.keys() | new_curves.keys()) - set(names))
        for name in names:
            old, new = (
                _final(before.metrics.get(name), old_curves.get(name)),
                _final(after.metrics.get(name), new_curves.get(name)),
            )
            curve = _curve(old_curves.get(name, ()), new_curves.get(name, ()))
            change = _change(old, new, curve)
            if change == "same" and not everything:
                continue
            found.append(_diff(name, stage, change, old, new, curve))
    return found


def _diff(
    name: str, stage: StageDiff, change: Change, old: float | None, new: float | None, curve: CurveDiff | None
) -> MetricDiff:
    delta = new - old if old is not None and new is not None else None
    return MetricDiff(
        name=name,
        change=change,
        stage=stage.b or stage.a,
        a_stage=stage.a if stage.b and stage.a != stage.b else "",
        a=_finite(old),
        b=_finite(new),
        delta=_finite(delta),
        relative=_finite(delta / abs(old)) if delta is not None and old else None,
        curve=curve,
    )


def _final(value: float | None, curve: Curve | None) -> float | None:
    """What the stage ended with; the last point of a curve that has no other end."""
    return value if value is not None or not curve else curve[-1][1]


def _change(old: float | None, new: float | None, curve: CurveDiff | None) -> Change:
    if old is None or new is None:
        return "same" if old is new else "added" if old is None else "removed"
    equal = old == new or (math.isnan(old) and math.isnan(new))
    return "same" if equal and (curve is None or curve.same) else "changed"


def _curve(old: Curve, new: Curve) -> CurveDiff | None:
    if not old and not new:
        return None
    return CurveDiff(
        a=tuple((step, _finite(value)) for step, value in thinned(old)),
        b=tuple((step, _finite(value)) for step, value in thinned(new)),
        a_points=len(old),
        b_points=len(new),
        same=[(step, repr(value)) for step, value in old] == [(step, repr(value)) for step, value in new],
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
