"""The cases. Each returns a title, a note and its figures; the first figure is what the others are compared with."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import nbformat

from benchmarks.measure import Figure, command, repeat

NBPIPE = [sys.executable, "-m", "nbpipe"]
Case = Callable[[int], tuple[str, str, list[Figure]]]

FIVE = [
    "%%params\nk: int = 1",
    "%%stage one\na = 1",
    "%%stage two\nb = a + 1",
    "%%stage three\nc = b + 1",
    "%%stage four\nd = c + 1",
    "%%stage five\ne = d + k\nprint(e)",
]
FRAME = [
    """%%stage make
import numpy as np
import pandas as pd
frame = pd.DataFrame(np.random.default_rng(0).random((1_250_000, 10)), columns=list('abcdefghij'))""",
    "%%stage use\nprint(len(frame), float(frame['a'].iloc[-1]))",
]
ARRAY = [
    "%%stage make\nimport numpy as np\nbig = np.ones(125_000_000)",
    "%%stage use\nimport numpy as np\nprint(big.shape, float(big[-1]))",
]


def _notebook(folder: Path, cells: list[str], name: str = "bench.ipynb") -> Path:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = folder / name
    nbformat.write(book, path)
    return path


def _plain(cells: list[str]) -> list[str]:
    """The same cells for tools that do not know the magics."""
    return [cell.split("\n", 1)[1] if cell.startswith("%%") else cell for cell in cells]


def _papermill(folder: Path) -> float:
    return command([sys.executable, "-m", "papermill", "--no-progress-bar", "plain.ipynb", "out.ipynb"], folder)


def five_stages(repeats: int) -> tuple[str, str, list[Figure]]:
    """Five trivial stages: cold, again, one parameter changed, last stage changed."""
    folder = Path(tempfile.mkdtemp())
    _notebook(folder, FIVE)
    _notebook(folder, _plain(FIVE), "plain.ipynb")
    state = folder / ".nbpipe"
    run = [*NBPIPE, "run", "bench.ipynb", "--quiet"]
    ticks = iter(range(10**6))

    def forget() -> None:
        shutil.rmtree(state, ignore_errors=True)

    def edit_last() -> None:
        _notebook(folder, [*FIVE[:-1], FIVE[-1] + f"\nprint({next(ticks)})"])

    figures = [
        repeat("papermill, one notebook in one process", repeats, lambda: None, lambda: _papermill(folder)),
        repeat("nbpipe run, nothing cached", repeats, forget, lambda: command(run, folder)),
        repeat("nbpipe run, nothing to do", repeats, lambda: None, lambda: command(run, folder)),
        repeat(
            "nbpipe run, one parameter changed",
            repeats,
            lambda: None,
            lambda: command([*run, "-p", f"k={next(ticks) + 2}"], folder),
        ),
        repeat("nbpipe run, last stage changed", repeats, edit_last, lambda: command(run, folder)),
        repeat("nbpipe plan", repeats, lambda: None, lambda: command([*NBPIPE, "plan", "bench.ipynb"], folder)),
        repeat("nbpipe --help", repeats, lambda: None, lambda: command([*NBPIPE, "--help"], folder)),
        repeat("python -c pass", repeats, lambda: None, lambda: command([sys.executable, "-c", "pass"], folder)),
    ]
    shutil.rmtree(folder)
    return (
        "Five trivial stages, whole command",
        "Each stage runs in a kernel of its own; papermill runs all in one.",
        figures,
    )


def hand_over(repeats: int) -> tuple[str, str, list[Figure]]:
    """A 100 MB frame and a 1 GB array from one stage to the next."""
    figures = []
    repeats = min(repeats, 3)
    for what, cells in (("100 MB frame", FRAME), ("1 GB array", ARRAY)):
        folder = Path(tempfile.mkdtemp())
        _notebook(folder, cells)
        _notebook(folder, _plain(cells), "plain.ipynb")
        figures.append(
            repeat(f"papermill, one process, {what}", repeats, lambda: None, lambda at=folder: _papermill(at))  # type: ignore[misc]
        )

        def forget(at: Path = folder) -> None:
            shutil.rmtree(at / ".nbpipe", ignore_errors=True)

        def run(at: Path = folder) -> float:
            return command([*NBPIPE, "run", "bench.ipynb", "--json"], at)

        figure = repeat(f"nbpipe, two kernels, {what}", repeats, forget, run)
        peaks = [_peak(path) for path in folder.glob(".nbpipe/runs/*/jobs/*/verdict.json")]
        figure.extra = f"peak of a kernel {max(peaks) / 2**30:.2f} GiB"
        figures.append(figure)
        shutil.rmtree(folder)
    return (
        "Handing data over",
        "From one stage to the next, digested, stored durably and read back memory-mapped.",
        figures,
    )


def _peak(verdict: Path) -> int:
    return int(json.loads(verdict.read_text()).get("peak_memory", 0))


ALL: list[Case] = [five_stages, hand_over]
