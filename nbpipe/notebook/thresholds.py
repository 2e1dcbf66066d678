"""Thresholds of checks, such as `acc >= champion.acc - 0.01`, parsed and computed without `eval`.

A threshold is made of names, `champion.NAME`, numbers, `+ - * /`, comparisons, `and`, `or`, `not`, and calls of `abs`,
`min` and `max`. What it gives is true or false.
"""

from __future__ import annotations

import ast
import math
import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LONGEST = 1000
_CHAMPION = "champion"
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_CALLS: dict[str, Callable[..., Any]] = {"abs": abs, "min": min, "max": max}


def read_threshold(text: str) -> str:
    """The threshold as written, or `ValueError` that says which part is not allowed."""
    _parse(text)
    return text.strip()


def threshold_names(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names a threshold reads, sorted: variables and metrics, then metrics of the champion."""
    nodes = list(ast.walk(_parse(text)))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    own = {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in called}
    champion = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return tuple(sorted(own - {_CHAMPION})), tuple(sorted(champion))


def holds(text: str, values: Mapping[str, Any], champion: Mapping[str, Any]) -> bool:
    """Whether the threshold is met. Raises `KeyError` with a name that neither mapping has."""
    return bool(_compute(_parse(text), values, champion))


def _parse(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise ValueError(f"a threshold has {_LONGEST} characters at most")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        _allow(tree)
    except (SyntaxError, MemoryError, RecursionError):
        raise ValueError(f"{text!a} is not an expression such as 'acc >= 0.9'") from None
    compares = isinstance(tree, (ast.Compare, ast.BoolOp))
    if not compares and not (isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not)):
        raise ValueError(f"{text!a} compares nothing; write something like 'acc >= 0.9'")
    return tree


def _allow(node: ast.expr) -> None:
    """Raise `ValueError` unless the node and everything below it is on the list in the module's docstring."""
    match node:
        case ast.Name(id=name) if name != _CHAMPION and not name.startswith("__"):
            return
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool) and math.isfinite(number):
            return
        case ast.Attribute(value=ast.Name(id="champion"), attr=name) if not name.startswith("__"):
            return
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not(), operand=operand):
            _allow(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            _allow(left)
            _allow(right)
        case ast.BoolOp(values=values):
            for value in values:
                _allow(value)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARE for op in ops):
            for value in (left, *others):
                _allow(value)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _CALLS and args:
            for value in args:
                _allow(value)
        case _:
            raise ValueError(
                f"'{ast.unparse(node)[:80]}' is not allowed in a threshold: names, champion.NAME, numbers, + - * /, "
                "comparisons, and/or/not, abs, min and max are"
            )


def _compute(node: ast.expr, values: Mapping[str, Any], champion: Mapping[str, Any]) -> Any:  # noqa: PLR0911 - one per node
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return values[name]
        case ast.Attribute(attr=name):
            try:
                return champion[name]
            except KeyError:
                raise KeyError(f"champion.{name}") from None
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _compute(operand, values, champion)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_compute(operand, values, champion)
        case ast.UnaryOp(operand=operand):
            return +_compute(operand, values, champion)
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_compute(left, values, champion), _compute(right, values, champion))
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_compute(part, values, champion) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_compute(part, values, champion) for part in parts)
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [_compute(side, values, champion) for side in (left, *others)]
            return all(_COMPARE[type(op)](a, b) for op, a, b in zip(ops, sides, sides[1:], strict=False))
        case ast.Call(func=ast.Name(id=name), args=args):
            return _CALLS[name](*(_compute(arg, values, champion) for arg in args))
        case _:
            raise AssertionError("the parser allows no other node")
