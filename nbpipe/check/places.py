"""Where in a stage something stands: the cell and the line that people count."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence

from nbpipe.dataflow.roots import dotted
from nbpipe.dataflow.transform import statements
from nbpipe.errors import PipelineError
from nbpipe.model import Code


def statements_of(cells: Sequence[Code]) -> Iterator[tuple[Code, ast.stmt]]:
    """The statements of these cells, in order; a cell that cannot be read has none."""
    for code in cells:
        if code.cell < 1:  # made by us
            continue
        try:
            found = statements(code)
        except PipelineError:
            continue
        for node in found:
            yield code, node


def place_of(cells: Sequence[Code], wanted: Callable[[ast.AST], bool]) -> tuple[int, int] | None:
    """Cell and line of the first node that is `wanted`."""
    for code, statement in statements_of(cells):
        for node in ast.walk(statement):
            if wanted(node):
                line = getattr(node, "lineno", statement.lineno)
                return code.cell, code.line + line - 1
    return None


def runs_programs(cells: Sequence[Code]) -> bool:
    """They run shell lines, magics or programs, which may make files that nobody sees."""
    return place_of(cells, _runs_program) is not None


def _runs_program(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id == "get_ipython"
    return isinstance(node, ast.Attribute) and dotted(node).startswith(("subprocess.", "os.system"))
