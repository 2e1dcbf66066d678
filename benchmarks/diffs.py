"""Comparing two runs of a pipeline of 50 stages: real runs, each stage with code, a table, an array, metrics and output."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from difflib import unified_diff
from pathlib import Path

import nbformat

from benchmarks.measure import Figure, command, repeat
from nbpipe.history.diff import PARTS, compute
from nbpipe.run.project import Project

STAGES = 50
_NOTE = (
    "Each stage has code, a table, an array of 20,000 numbers, metrics and printed text. "
    "Inside the process, imports not counted."
)
_STAGE = """%%stage s{n} --metrics score{n}
import numpy as np
from IPython.display import HTML, display

def clean{n}(values, low=-3.0, high=3.0):
    kept = values[np.isfinite(values)]
    return np.clip(kept, low, high)

rng = np.random.default_rng({n})
sample{n} = clean{n}(rng.normal(lr, 1.0, 20_000){more})
settings{n} = {{"stage": {n}, "lr": lr, "bins": [0.1 * k for k in range(20)]}}
{before}score{n} = float(sample{n}.mean())
for step in range(20):
    print("step", step, round(score{n} * step, 4))
rows = "".join(f"<tr><th>{{k}}</th><td>{{v:.4f}}</td><td>{{v * 2:.4f}}</td></tr>" for k, v in enumerate(sample{n}[:20]))
display(HTML(f"<table><thead><tr><th></th><th>a</th><th>b</th></tr></thead><tbody>{{rows}}</tbody></table>"))"""


def _cells(more: str = "") -> list[str]:
    stages = [
        _STAGE.format(n=n, more=more, before=f"sample{n} = sample{n} + 0 * sample{n - 1}.mean()\n" if n else "")
        for n in range(STAGES)
    ]
    return [
        "%%params\nlr: float = 0.1",
        *stages,
        f"%%stage last\nprint(settings{STAGES - 1}, sample{STAGES - 1}.mean())",
    ]


def _write(folder: Path, cells: list[str]) -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, folder / "bench.ipynb")


def diffs(repeats: int) -> tuple[str, str, list[Figure]]:
    """Everything differs, one stage differs, nothing differs; and what it takes to compare the executed notebooks as text."""
    folder = Path(tempfile.mkdtemp())
    (folder / "nbpipe.toml").touch()
    run = [sys.executable, "-m", "nbpipe", "run", "bench.ipynb", "--quiet"]
    _write(folder, _cells())
    command(run, folder)
    _write(folder, _cells(more=" * 1.5"))
    command([*run, "-p", "lr=0.2"], folder)
    _write(folder, [*_cells(more=" * 1.5")[:-1], "%%stage last\nprint(1)"])
    command([*run, "-p", "lr=0.2"], folder)
    figures = measured(folder, repeats)
    shutil.rmtree(folder)
    return f"Comparing two runs of {STAGES + 1} stages", _NOTE, figures


def measured(folder: Path, repeats: int) -> list[Figure]:
    """The figures of a project with these three runs."""
    project = Project(folder)

    def timed(work: Callable[[], object]) -> Callable[[], float]:
        def measure() -> float:
            start = time.perf_counter()
            work()
            return time.perf_counter() - start

        work()
        return measure

    old, new = ((folder / ".nbpipe" / "runs" / name / "bench.ipynb").read_text().splitlines() for name in ("r1", "r2"))
    figures = [
        repeat("difflib on the two executed notebooks", repeats, _idle, timed(lambda: list(unified_diff(old, new)))),
        repeat("nbpipe diff, every stage differs", repeats, _idle, timed(lambda: compute(project, "r1", "r2"))),
        repeat(
            "nbpipe diff, every stage differs, code and parameters alone",
            repeats,
            _idle,
            timed(lambda: compute(project, "r1", "r2", parts=("code", "params"))),
        ),
        repeat("nbpipe diff, one stage differs", repeats, _idle, timed(lambda: compute(project, "r2", "r3"))),
        repeat("nbpipe diff, a run with itself", repeats, _idle, timed(lambda: compute(project, "r2", "r2"))),
    ]
    found = compute(project, "r1", "r2")
    figures[1].extra = ", ".join(f"{part} {found.counts[part]}" for part in PARTS if found.counts[part])
    return figures


def _idle() -> None:
    """Nothing to prepare."""
