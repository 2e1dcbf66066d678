"""The cases. Each returns a title, a note and its figures; the first figure is what the others are compared with."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import nbformat

from benchmarks.diffs import diffs
from benchmarks.history import history
from benchmarks.lab_events import lab_events
from benchmarks.lab_frames import lab_frames
from benchmarks.lab_startup import lab_startup
from benchmarks.lab_typing import lab_typing
from benchmarks.labs import HAS_BROWSER
from benchmarks.measure import Figure, command, printed, repeat
from nbpipe.model import Outcome, Trace
from nbpipe.pipeline.extract import extract
from nbpipe.plan.resolve import wanted
from nbpipe.store import open_store

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


def _chain(stages: int) -> list[str]:
    first = ["%%params\nk: int = 1", "%%stage s0\nv0 = sum([k])"]
    return [*first, *(f"%%stage s{n}\nv{n} = v{n - 1} + 1" for n in range(1, stages))]


def _long(cells: int) -> list[str]:
    """Cells of 16 lines, ten to a stage."""
    body = """%%stage p{stage}
def f{n}(x, y=2):
    total = 0
    for item in range(x):
        if item % 2:
            total += item * y
        else:
            total -= 1
    return total
w{n} = [f{n}(a) for a in range(10)]
z{n} = dict(a=w{n}, b={n})
print(z{n}["a"], "hello")
q{n} = sorted(w{n}, key=lambda t: -t)
r{n} = sum(q{n}) / len(q{n})
s{n} = max(r{n}, {n})
print(s{n})"""
    return [body.replace("{n}", str(n)).replace("{stage}", str(n // 10)) for n in range(cells)]


def _settle(path: Path) -> None:
    """Put a result of every stage into the store, as if it had run."""
    store = open_store(path.parent / ".nbpipe" / "store")
    pipeline = extract(path)
    committed: dict[str, Outcome] = {}
    for stage in pipeline.stages:
        target = wanted(pipeline, stage.name, committed, {})
        if target is None:
            raise RuntimeError(stage.name)
        outputs = {name: store.save_values({name: 1}, stage=stage.name)[name] for name in stage.flow.outputs}
        outcome = Outcome(stage=stage.name, attempt=1, token="", status="succeeded", outputs=outputs)
        store.traces.commit(Trace(key=target.key, stage=stage.name, parts=target.parts, outcome=outcome, run="r1"))
        committed[stage.name] = outcome


def planning(repeats: int) -> tuple[str, str, list[Figure]]:
    """Whole `nbpipe plan` commands on notebooks whose results are all in the store."""
    figures = []
    plan = [*NBPIPE, "plan", "bench.ipynb"]
    for stages in (5, 100, 200):
        folder = Path(tempfile.mkdtemp())
        (folder / "nbpipe.toml").touch()
        _settle(_notebook(folder, _chain(stages)))
        figures.append(
            repeat(f"nbpipe plan, {stages} stages, all HIT", repeats, lambda: None, lambda at=folder: command(plan, at))  # type: ignore[misc]
        )
        shutil.rmtree(folder)
    return "Planning", "Whole commands; every stage's result is in the store and verified.", figures


def extraction(repeats: int) -> tuple[str, str, list[Figure]]:
    """From a notebook to its pipeline, in a new process each time."""
    code = "import sys, time\nfrom pathlib import Path\nfrom nbpipe.pipeline.extract import extract\n"
    code += "start = time.perf_counter()\nextract(Path(sys.argv[1]))\nprint(time.perf_counter() - start)"
    parse = "import sys, time, ast, json\ncells = json.load(open(sys.argv[1]))['cells']\nstart = time.perf_counter()\n"
    parse += "for c in cells: ast.parse(''.join(c['source']).split('\\n', 1)[1])\nprint(time.perf_counter() - start)"
    figures = []
    folder = Path(tempfile.mkdtemp())
    for what, program, cells in (
        ("ast.parse of 1,000 cells of 16 lines", parse, _long(1000)),
        ("nbpipe extract, 100 cells", code, _long(100)),
        ("nbpipe extract, 1,000 cells", code, _long(1000)),
        ("nbpipe extract, 200 stages", code, _chain(200)),
    ):
        path = _notebook(folder, cells)

        def measure(program: str = program, path: Path = path) -> float:
            return float(printed([sys.executable, "-c", program, str(path)], folder))

        figures.append(repeat(what, min(repeats, 3), lambda: None, measure))
    shutil.rmtree(folder)
    return "Extraction", "Inside the process, imports not counted; nothing is cached.", figures


LAB: list[Case] = [lab_startup, lab_events, lab_frames, lab_typing] if HAS_BROWSER else []
ALL: list[Case] = [five_stages, planning, extraction, diffs, hand_over, history, *LAB]
