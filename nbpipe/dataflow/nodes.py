"""All nodes of a statement, gathered once: several readers go through the same trees."""

from __future__ import annotations

import ast
from functools import lru_cache

#: Fields that hold texts, numbers, or the `ctx` of a name.
_WORDS = frozenset({"ctx", "id", "attr", "type_comment", "lineno", "level", "module", "is_async", "simple"})


@lru_cache(maxsize=16384)
def nodes_of(tree: ast.AST) -> tuple[ast.AST, ...]:
    """The node and all below it, in no particular order; without the `ctx` of names, which says nothing by itself.

    Trees are told apart by identity: they must not be changed once somebody has asked.
    """
    found: list[ast.AST] = []
    todo = [tree]
    while todo:
        node = todo.pop()
        found.append(node)
        todo += children_of(node)
    return tuple(found)


def children_of(node: ast.AST) -> list[ast.AST]:
    """The nodes right below, without the `ctx` of names."""
    found: list[ast.AST] = []
    for field in _fields(type(node)):  # type: ignore[arg-type]  # a class can be hashed
        value = getattr(node, field, None)
        if type(value) is list:
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
