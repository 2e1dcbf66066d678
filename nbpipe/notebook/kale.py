"""Kale's cell tags, read as they stand."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from nbpipe.errors import GrammarError
from nbpipe.notebook.line import Role, check_name
from nbpipe.notebook.options import Given, add_option

if TYPE_CHECKING:
    from nbpipe.model import Cell

#: The stage that a `pipeline-metrics` cell becomes.
METRICS_STAGE = "pipeline-metrics"

_PLAIN: dict[str, tuple[Role, str]] = {
    "imports": ("setup", ""),
    "functions": ("setup", ""),
    "pipeline-parameters": ("params", ""),
    "pipeline-metrics": ("stage", METRICS_STAGE),
    "skip": ("skip", ""),
}
_STEPS = ("step:", "block:")
_GPU_LIMIT = "limit:nvidia.com/gpu:"


def uses_kale(cells: tuple[Cell, ...]) -> bool:
    """Whether a notebook is tagged for Kale: it has steps, or Kale's own name for its parameters."""
    return any(tag.startswith(_STEPS) or tag == "pipeline-parameters" for cell in cells for tag in cell.tags)


def read_kale(cell: Cell) -> tuple[dict[tuple[Role, str], str], Given, tuple[str, ...]]:
    """Roles (with the tag that says each), options and warnings of one cell. Raises `GrammarError`."""
    roles: dict[tuple[Role, str], str] = {}
    given: Given = {}
    warnings: list[str] = []
    for tag in cell.tags:
        if tag in _PLAIN:
            roles[_PLAIN[tag]] = tag
        elif tag.startswith(_STEPS):
            name = tag.partition(":")[2].strip()
            if not name:
                raise GrammarError(f"the tag '{tag}' names no step", name=tag, fix="Write step:NAME.")
            roles["stage", check_name(name)] = tag
        elif tag.startswith("prev:"):
            add_option(given, "after", tag.removeprefix("prev:").strip(), kind="stage")
        elif tag.startswith(_GPU_LIMIT):
            add_option(given, "gpus", tag.removeprefix(_GPU_LIMIT), kind="stage")
        elif tag.startswith(("limit:", "annotation:", "label:", "cache:", "image:")):
            warnings.append(f"cell {cell.number}: Kale's tag '{tag}' is not used")
    if "pipeline-metrics" in cell.tags and (names := _printed(cell.source)):
        add_option(given, "metrics", ",".join(names), kind="stage")
    return roles, given, tuple(warnings)


def _printed(source: str) -> list[str]:
    """Variables that a metrics cell shows: `print(acc)`, or `acc` alone on its line."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return []
    names = []
    for statement in body:
        match statement:
            case (
                ast.Expr(value=ast.Name(id=name))
                | ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=[ast.Name(id=name)]))
            ):
                names.append(name)
            case _:
                pass
    return names
