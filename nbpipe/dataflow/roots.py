"""Whose objects an expression may give: the names behind a value."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any

from nbpipe.dataflow.nodes import nodes_of
from nbpipe.dataflow.purity import COPY_ATTRIBUTES, KEEPING_FUNCTIONS, VIEW_METHODS, is_pure_method

#: What stands in `x[…]` when the result is always a copy: lists of columns or rows, and masks.
_SELECTIONS = (ast.List, ast.ListComp, ast.Compare)


_NONE: frozenset[str] = frozenset()


def roots(node: ast.AST | None) -> frozenset[str]:
    """Names whose objects the value of an expression may be, or be part of."""
    kind = type(node)
    if kind is ast.Constant:
        return _NONE
    if kind is ast.Name:
        return frozenset((node.id,))  # type: ignore[union-attr]
    finder = _FINDERS.get(kind)
    return finder(node) if finder is not None else _NONE


def _all(nodes: Iterable[ast.AST | None]) -> frozenset[str]:
    return _NONE.union(*map(roots, nodes))


def _attribute_roots(node: ast.Attribute) -> frozenset[str]:
    return _NONE if node.attr in COPY_ATTRIBUTES else roots(node.value)


def _subscript_roots(node: ast.Subscript) -> frozenset[str]:
    return _NONE if _selects(node.slice) else roots(node.value)


def _comprehension_roots(
    node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, parts: list[ast.expr]
) -> frozenset[str]:
    targets = {n.id for g in node.generators for n in nodes_of(g.target) if isinstance(n, ast.Name)}
    inner = _all(parts)
    sources = _all(g.iter for g in node.generators)
    return (inner - targets) | (sources if inner & targets else frozenset())


def _call_roots(node: ast.Call) -> frozenset[str]:
    function = node.func
    if isinstance(function, ast.Attribute):
        name = function.attr
        if name in VIEW_METHODS:
            return roots(function.value)
        if name[:1].isupper() or name in KEEPING_FUNCTIONS:
            return _arguments(node)
        return _NONE if is_pure_method(name) else roots(function.value)
    if isinstance(function, ast.Name) and (function.id[:1].isupper() or function.id in KEEPING_FUNCTIONS):
        return _arguments(node)
    return _NONE


def _arguments(node: ast.Call) -> frozenset[str]:
    return _all(node.args).union(*(roots(k.value) for k in node.keywords))


def _selects(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
        return True
    masks = isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr)
    return masks or isinstance(node, _SELECTIONS)


#: Class of an expression -> who finds its roots; of all others nobody knows any.
_FINDERS: dict[type, Callable[[Any], frozenset[str]]] = {
    ast.Attribute: _attribute_roots,
    ast.Subscript: _subscript_roots,
    ast.Starred: lambda node: roots(node.value),
    ast.Await: lambda node: roots(node.value),
    ast.NamedExpr: lambda node: roots(node.value) | {node.target.id},
    ast.IfExp: lambda node: roots(node.body) | roots(node.orelse),
    ast.BoolOp: lambda node: _all(node.values),
    ast.List: lambda node: _all(node.elts),
    ast.Tuple: lambda node: _all(node.elts),
    ast.Set: lambda node: _all(node.elts),
    ast.Dict: lambda node: _all(node.values),
    ast.ListComp: lambda node: _comprehension_roots(node, [node.elt]),
    ast.SetComp: lambda node: _comprehension_roots(node, [node.elt]),
    ast.GeneratorExp: lambda node: _comprehension_roots(node, [node.elt]),
    ast.DictComp: lambda node: _comprehension_roots(node, [node.value]),
    ast.Call: _call_roots,
}


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a chain of attributes on a name; "" for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""
