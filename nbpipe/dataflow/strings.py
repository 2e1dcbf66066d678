"""Names that libraries look up in the notebook although they stand in a string: formulas, queries, expressions. Pure."""

from __future__ import annotations

import ast
import re

from nbpipe.dataflow.nodes import nodes_of
from nbpipe.dataflow.transform import plain_tree

#: `y ~ np.log(x)`: functions and modules of a formula; its variables are columns.
_FORMULA = re.compile(r"^\s*[^~\n]*~[^~]*$", re.DOTALL)
_USED = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\s*(?=[.(])")
#: `age > @limit`, as pandas has it.
_GIVEN = re.compile(r"(?<![\w.])@([A-Za-z_]\w*)")
_EXPRESSIONS = frozenset({"eval", "evaluate", "query"})


def names_in_text(text: str) -> set[str]:
    """Names that a string may stand for wherever it is used."""
    found = set(_GIVEN.findall(text))
    if _FORMULA.match(text):
        found |= set(_USED.findall(text))
    return found


def names_in_expression(node: ast.Call) -> set[str]:
    """Names in the literal expression of `pd.eval("a + b")`, `numexpr.evaluate("a * b")` and their like."""
    if not (isinstance(node.func, ast.Attribute) and node.func.attr in _EXPRESSIONS and node.args):
        return set()
    first = node.args[0]
    tree = plain_tree(first.value.strip()) if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
    return {part.id for part in nodes_of(tree) if isinstance(part, ast.Name)} if tree else set()
