"""What an exploration cell plainly changes although no stage sees it: said in a warning, for people forget to tag cells."""

from __future__ import annotations

import ast
import re

from nbpipe.dataflow.nodes import nodes_of
from nbpipe.dataflow.roots import roots

#: Methods by which code changes what it has, and not only looks at it.
_CHANGING = re.compile(
    r"append|extend|insert|remove|pop|clear|update|add|discard|setdefault|sort|reverse|fit|partial_fit"
)


def plainly_changed(node: ast.stmt) -> frozenset[str]:
    """Names whose objects a statement surely changes in place: by assignment, `del`, `inplace=True` or a method like `append`."""
    found: frozenset[str] = frozenset()
    for part in nodes_of(node):
        targets: list[ast.expr] = []
        if isinstance(part, (ast.Assign, ast.Delete)):
            targets = part.targets
        elif isinstance(part, (ast.AugAssign, ast.AnnAssign)):
            targets = [part.target]
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute):
            inplace = any(k.arg == "inplace" and getattr(k.value, "value", True) for k in part.keywords)
            if inplace or _CHANGING.fullmatch(part.func.attr):
                found |= roots(part.func.value)
        for target in targets:
            if isinstance(target, (ast.Subscript, ast.Attribute)):
                found |= roots(target.value)
    return found
