"""All nodes of a statement, gathered once: several readers go through the same trees."""

from __future__ import annotations

import ast
from functools import lru_cache


@lru_cache(maxsize=1024)
def nodes_of(tree: ast.AST) -> tuple[ast.AST, ...]:
    """The node and all below it, in no particular order; without the `ctx` of names, which says nothing by itself.

    Trees are told apart by identity: they must not be changed once somebody has asked.
    """
    found: list[ast.AST] = []
    todo = [tree]
    while todo:
        node = todo.pop()
        found.append(node)
        for field in node._fields:
            value = getattr(node, field, None)
            if type(value) is list:
                todo += [item for item in value if isinstance(item, ast.AST)]
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                todo.append(value)
    return tuple(found)
