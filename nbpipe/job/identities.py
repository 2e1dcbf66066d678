"""`x is y` for values that cannot change: stages hand on what they are worth, and not which object they are."""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterable, Mapping
from typing import Any

from nbpipe.store.identity import IMMUTABLE, nan_owner

#: Python has one object for each of these.
_SMALL = range(-5, 257)


def identity_warnings(sources: Iterable[str], names: Mapping[str, Any]) -> list[str]:
    """A warning for each comparison by identity with one of `names`, which were there before the cells."""
    found: dict[str, None] = {}
    for source in sources:
        for node in _comparisons(source):
            for operand in (node.left, *node.comparators):
                if isinstance(operand, ast.Name) and operand.id in names and _is_copied(names[operand.id]):
                    kind = type(names[operand.id]).__name__
                    found[
                        f"`{ast.unparse(node)}` asks whether two are one object, and '{operand.id}' is a {kind}: stages "
                        "hand those on as copies. Compare with =="
                    ] = None
    return list(found)


def _comparisons(source: str) -> list[ast.Compare]:
    from nbpipe.dataflow.transform import plain_tree

    tree = plain_tree(source)
    compared = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)] if tree is not None else []
    return [node for node in compared if any(isinstance(operator, (ast.Is, ast.IsNot)) for operator in node.ops)]


def _is_copied(value: Any) -> bool:
    """Whether it is of a kind that changes hands by value, and not one that Python or a library has just one of."""
    if not isinstance(value, IMMUTABLE) or isinstance(value, (bool, enum.Enum)):
        return False
    if isinstance(value, float):
        return not nan_owner(value)
    return value not in _SMALL if isinstance(value, int) else value not in ("", b"", ())
