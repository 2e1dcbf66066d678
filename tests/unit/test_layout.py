"""The tree, read downward, is the data flow: imports point only up the list, and no file grows into the project."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "nbpipe"
#: Each may import itself and what stands before it.
ORDER = [
    "callable",
    "errors",
    "model",
    "checkpoints",
    "credentials",
    "metrics",
    "notebook",
    "dataflow",
    "pipeline",
    "plan",
    "store",
    "tracking",
    "job",
    "targets",
    "executors",
    "run",
    "history",
    "export",
    "stage",
    "reproduce",
    "explain",
    "sweep",
    "suggest",
    "check",
    "ui",
    "server",
    "live",
    "magics",
    "cli",
]
FILES = sorted(PACKAGE.rglob("*.py"))


def _part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"nbpipe.{alias.name}" for alias in node.names] if node.module == "nbpipe" else [node.module]
        found |= {name.split(".")[1] for name in names if name.startswith("nbpipe.")}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_stands_above_it(path: Path) -> None:
    part = _part(path)
    if part in {"__init__", "__main__"}:
        pytest.skip("the public face may import everything")
    below = {name for name in _imports(path) if name in ORDER and ORDER.index(name) > ORDER.index(part)}
    assert not below


def test_every_part_has_a_place_in_the_order() -> None:
    assert {_part(path) for path in FILES} - {"__init__", "__main__"} <= set(ORDER)


def test_no_file_is_long_and_most_are_short() -> None:
    lengths = sorted(len(path.read_text().splitlines()) for path in FILES)
    assert lengths[-1] <= 500
    assert lengths[len(lengths) // 2] <= 150


def test_only_relative_paths_and_the_project_itself_are_spoken_of() -> None:
    """Paths of one machine have no place in code that runs on others."""
    hits = [path for path in FILES if any(mark in path.read_text() for mark in ("/root/", "/home/"))]
    assert hits == []
