"""What a sweep is after: metrics to maximise or minimise, and conditions that a trial has to meet."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from nbpipe.errors import UsageError
from nbpipe.history.conditions import column_name, parse
from nbpipe.model import Value

_SIGNS: dict[type[ast.cmpop], Literal["<", "<=", ">", ">="]] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_TURNED: dict[str, Literal["<", "<=", ">", ">="]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
#: How far a value on the wrong side of a strict bound is off at least.
_LEAST = 1e-12


class Goal(Value, frozen=True, kw_only=True):
    """A metric and where it shall go."""

    metric: str
    direction: Literal["max", "min"]

    def better(self, a: float, b: float) -> bool:
        """`a` is better than `b`."""
        return a > b if self.direction == "max" else a < b


class Bound(Value, frozen=True, kw_only=True):
    """A condition on one metric: `metric sign limit`."""

    metric: str
    sign: Literal["<", "<=", ">", ">="]
    limit: float

    def violation(self, value: float) -> float:
        """0 or less where the condition is met, else how far it is off."""
        off = value - self.limit if self.sign in ("<", "<=") else self.limit - value
        return max(off, _LEAST) if off == 0 and self.sign in ("<", ">") else off


def read_goals(texts: Sequence[str]) -> tuple[Goal, ...]:
    """Goals such as `acc:max`. Raises UsageError."""
    goals: list[Goal] = []
    for text in texts:
        metric, colon, direction = text.rpartition(":")
        if not colon or not metric.strip() or direction not in ("max", "min"):
            raise UsageError(
                f"--metric {text[:80]!r} does not say where it shall go",
                name=text[:80],
                fix="Write acc:max or loss:min.",
            )
        if any(goal.metric == metric for goal in goals):
            raise UsageError(f"the metric '{metric[:80]}' is given twice", name=metric[:80], fix="Name each once.")
        goals.append(Goal(metric=metric, direction="max" if direction == "max" else "min"))
    if not goals:
        raise UsageError("a sweep needs a metric to go by", name="--metric", fix="Add --metric acc:max or loss:min.")
    return tuple(goals)


def read_bounds(texts: Iterable[str]) -> tuple[Bound, ...]:
    """Conditions such as `latency < 0.1 and size <= 5`. Raises UsageError."""
    return tuple(bound for text in texts for bound in _bounds(parse(text), text))


def violations(bounds: Iterable[Bound], metrics: Mapping[str, float]) -> tuple[float, ...]:
    """Of each bound, in order. Raises KeyError for a metric that is not there."""
    return tuple(bound.violation(metrics[bound.metric]) for bound in bounds)


def _bounds(node: ast.expr, text: str) -> list[Bound]:
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            return [bound for part in parts for bound in _bounds(part, text)]
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [left, *others]
            return [_bound(a, op, b, text) for a, op, b in zip(sides, ops, sides[1:], strict=False)]
    raise _refused(text)


def _bound(left: ast.expr, op: ast.cmpop, right: ast.expr, text: str) -> Bound:
    sign = _SIGNS.get(type(op))
    if sign is None:
        raise _refused(text)
    metric, limit = _metric(left), _number(right)
    if metric is None or limit is None:
        metric, limit, sign = _metric(right), _number(left), _TURNED[sign]
    if metric is None or limit is None:
        raise _refused(text)
    return Bound(metric=metric, sign=sign, limit=limit)


def _metric(node: ast.expr) -> str | None:
    named = column_name(node)
    return named[1] if named is not None and named[0] in ("", "metrics") else None


def _number(node: ast.expr) -> float | None:
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _number(operand)
            return -inner if inner is not None else None
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    return None


def _refused(text: str) -> UsageError:
    return UsageError(
        f"--where {text[:80]!r} is not a metric compared with a number",
        name=text[:80],
        fix='Write, say, --where "latency < 0.1"; several are joined by "and".',
    )
