"""Whose objects an expression may give: the names behind a value."""

from __future__ import annotations

import ast

from nbpipe.dataflow.nodes import nodes_of
from nbpipe.dataflow.purity import COPY_ATTRIBUTES, KEEPING_FUNCTIONS, VIEW_METHODS, is_pure_method

#: What stands in `x[…]` when the result is always a copy: lists of columns or rows, and masks.
_SELECTIONS = (ast.List, ast.ListComp, ast.Compare)


def roots(node: ast.AST | None) -> frozenset[str]:  # noqa: PLR0911  one per kind of expression
    """Names whose objects the value of an expression may be, or be part of."""
    if isinstance(node, ast.Name):
        return frozenset({node.id})
    if isinstance(node, ast.Attribute):
        return frozenset() if node.attr in COPY_ATTRIBUTES else roots(node.value)
    if isinstance(node, ast.Subscript) and _selects(node.slice):
        return frozenset()
    if isinstance(node, ast.Subscript | ast.Starred | ast.Await):
        return roots(node.value)
    if isinstance(node, ast.NamedExpr):
        return roots(node.value) | {node.target.id}
    if isinstance(node, ast.IfExp):
        return roots(node.body) | roots(node.orelse)
    if isinstance(node, ast.BoolOp):
        return frozenset().union(*(roots(value) for value in node.values))
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return frozenset().union(*(roots(item) for item in node.elts))
    if isinstance(node, ast.Dict):
        return frozenset().union(*(roots(item) for item in node.values))
    if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
        return _comprehension_roots(node, [node.elt])
    if isinstance(node, ast.DictComp):
        return _comprehension_roots(node, [node.value])
    if isinstance(node, ast.Call):
        return _call_roots(node)
    return frozenset()


def _comprehension_roots(
    node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, parts: list[ast.expr]
) -> frozenset[str]:
    targets = {n.id for g in node.generators for n in nodes_of(g.target) if isinstance(n, ast.Name)}
    inner = frozenset().union(*(roots(part) for part in parts))
    sources = frozenset().union(*(roots(g.iter) for g in node.generators))
    return (inner - targets) | (sources if inner & targets else frozenset())


def _call_roots(node: ast.Call) -> frozenset[str]:
    function = node.func
    arguments = frozenset().union(*(roots(a) for a in node.args), *(roots(k.value) for k in node.keywords))
    if isinstance(function, ast.Attribute):
        name, owner = function.attr, roots(function.value)
        if name in VIEW_METHODS:
            return owner
        if name[:1].isupper() or name in KEEPING_FUNCTIONS:
            return arguments
        return frozenset() if is_pure_method(name) else owner
    if isinstance(function, ast.Name):
        holds = function.id[:1].isupper() or function.id in KEEPING_FUNCTIONS
        return arguments if holds else frozenset()
    return frozenset()


def _selects(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
        return True
    masks = isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr)
    return masks or isinstance(node, _SELECTIONS)


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a chain of attributes on a name; "" for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""
