"""The notebooks that are measured, and the commands that run them."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat

from benchmarks.measure import command

NBPIPE = [sys.executable, "-m", "nbpipe"]


def notebook(folder: Path, cells: list[str], name: str = "bench.ipynb") -> Path:
    """A notebook of code cells."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = folder / name
    nbformat.write(book, path)
    return path


def plain(cells: list[str]) -> list[str]:
    """The same cells for tools that do not know the magics."""
    return [cell.split("\n", 1)[1] if cell.startswith("%%") else cell for cell in cells]


def papermill(folder: Path) -> float:
    """Seconds in which papermill runs `plain.ipynb`."""
    return command([sys.executable, "-m", "papermill", "--no-progress-bar", "plain.ipynb", "out.ipynb"], folder)


def chain(stages: int) -> list[str]:
    """Trivial stages, each of which reads what the one above it gives."""
    first = ["%%params\nk: int = 1", "%%stage s0\nv0 = sum([k])"]
    return [*first, *(f"%%stage s{n}\nv{n} = v{n - 1} + 1" for n in range(1, stages))]
