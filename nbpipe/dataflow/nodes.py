"""The nodes of a tree."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

#: Fields that hold texts, numbers, operators, or the `ctx` of a name.
_WORDS = frozenset(
    {"ctx", "op", "ops", "id", "attr", "type_comment", "lineno", "level", "module", "is_async", "simple"}
)
#: The nodes right below those that there are most of, in the order of their fields; all others are asked for each field.
_BELOW: dict[type, Callable[[Any], Sequence[ast.AST]]] = {
    ast.Name: lambda _: (),
    ast.Constant: lambda _: (),
    ast.Expr: lambda node: (node.value,),
    ast.Attribute: lambda node: (node.value,),
    ast.keyword: lambda node: (node.value,),
    ast.Starred: lambda node: (node.value,),
    ast.UnaryOp: lambda node: (node.operand,),
    ast.BinOp: lambda node: (node.left, node.right),
    ast.Subscript: lambda node: (node.value, node.slice),
    ast.Compare: lambda node: (node.left, *node.comparators),
    ast.Call: lambda node: (node.func, *node.args, *node.keywords),
    ast.Assign: lambda node: (*node.targets, node.value),
    ast.AugAssign: lambda node: (node.target, node.value),
    ast.If: lambda node: (node.test, *node.body, *node.orelse),
    ast.For: lambda node: (node.target, node.iter, *node.body, *node.orelse),
    ast.List: lambda node: node.elts,
    ast.Tuple: lambda node: node.elts,
    ast.Set: lambda node: node.elts,
    ast.JoinedStr: lambda node: node.values,
}


def nodes_of(tree: ast.AST) -> tuple[ast.AST, ...]:
    """The node and all below it, in no particular order; without operators and the `ctx` of names, which say nothing."""
    found: list[ast.AST] = []
    todo = [tree]
    while todo:
        node = todo.pop()
        found.append(node)
        todo += children_of(node)
    return tuple(found)


def children_of(node: ast.AST) -> Sequence[ast.AST]:
    """The nodes right below, in the order of their fields, without operators and the `ctx` of names."""
    below = _BELOW.get(type(node))
    if below is not None:
        return below(node)
    found: list[ast.AST] = []
    for field in _fields(type(node)):  # type: ignore[arg-type]  # a class can be hashed
        value = getattr(node, field, None)
        if type(value) is list:
            # Names of `global`, and keys of `**more`, are none.
            found += [item for item in value if isinstance(item, ast.AST)]
        elif isinstance(value, ast.AST):
            found.append(value)
    return found


@lru_cache(maxsize=256)
def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    """Fields that may hold nodes which say something: not operators, nor what a literal is."""
    if issubclass(kind, ast.Constant | ast.Global | ast.Nonlocal):
        return ()
    return tuple(field for field in kind._fields if field not in _WORDS)
