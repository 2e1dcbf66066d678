"""The cases. Each returns a title, a note and its figures; the first figure is what the others are compared with."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.diffs import diffs
from benchmarks.exports import exports
from benchmarks.history import history
from benchmarks.lab_events import lab_events
from benchmarks.lab_frames import lab_frames
from benchmarks.lab_startup import lab_startup
from benchmarks.lab_typing import lab_typing
from benchmarks.labs import HAS_BROWSER
from benchmarks.live_cell import live
from benchmarks.measure import Figure, Section, command, printed, repeat
from benchmarks.notebooks import NBPIPE, chain, notebook, papermill, plain
from benchmarks.peers.case import CASES as PEERS
from benchmarks.profiles import nothing_to_do, stage_start
from benchmarks.remote_cell import remote_cell
from benchmarks.remote_inputs import remote_inputs
from benchmarks.scale import beside, nothing_at_scale, scheduling
from benchmarks.settle import settle
from benchmarks.stages import cells, first_line, objects
from benchmarks.sweeps import sweeping

#: Title, note and figures; or sections, of which later ones of the same title replace the earlier.
Given = tuple[str, str, list[Figure]] | Iterator[Section]
Case = Callable[[int], Given]

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


def five_stages(repeats: int) -> tuple[str, str, list[Figure]]:
    """Five trivial stages: cold, again, one parameter changed, last stage changed."""
    folder = Path(tempfile.mkdtemp())
    notebook(folder, FIVE)
    notebook(folder, plain(FIVE), "plain.ipynb")
    state = folder / ".nbpipe"
    run = [*NBPIPE, "run", "bench.ipynb", "--quiet"]
    ticks = iter(range(10**6))

    def forget() -> None:
        shutil.rmtree(state, ignore_errors=True)

    def edit_last() -> None:
        notebook(folder, [*FIVE[:-1], FIVE[-1] + f"\nprint({next(ticks)})"])

    figures = [
        repeat("papermill, one notebook in one process", repeats, lambda: None, lambda: papermill(folder)),
        repeat(
            "nbpipe run, nothing cached, nothing kept warm",
            repeats,
            forget,
            lambda: command(run, folder, NBPIPE_KEEP_WARM="off"),
        ),
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
        "A kernel for each stage; papermill runs all in one. The parent of nbpipe's kernels is there from the run before.",
        figures,
    )


def hand_over(repeats: int) -> tuple[str, str, list[Figure]]:
    """A 100 MB frame and a 1 GB array from one stage to the next."""
    figures = []
    repeats = min(repeats, 3)
    for what, written in (("100 MB frame", FRAME), ("1 GB array", ARRAY)):
        folder = Path(tempfile.mkdtemp())
        notebook(folder, written)
        notebook(folder, plain(written), "plain.ipynb")
        figures.append(
            repeat(f"papermill, one process, {what}", repeats, lambda: None, lambda at=folder: papermill(at))  # type: ignore[misc]
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


def planning(repeats: int) -> tuple[str, str, list[Figure]]:
    """Whole `nbpipe plan` commands on notebooks whose results are all in the store."""
    figures = []
    plan = [*NBPIPE, "plan", "bench.ipynb"]
    for stages in (5, 100, 1000, 4000, 10_000):
        folder = Path(tempfile.mkdtemp())
        (folder / "nbpipe.toml").touch()
        settle(notebook(folder, chain(stages)))

        def measure(at: Path = folder) -> float:
            return command(plan, at)

        figures.append(repeat(f"nbpipe plan, {stages:,} stages, all HIT", min(repeats, 3), lambda: None, measure))
        shutil.rmtree(folder)
    return "Planning", "Whole commands on chains of stages; every stage's result is in the store and verified.", figures


_EXTRACT = """
import subprocess, sys, time
from pathlib import Path
from nbpipe.pipeline.extract import extract
from nbpipe.run.planning import plan_notebook
path, what = Path(sys.argv[1]), sys.argv[2]
if what == "elsewhere":
    program = "import sys, pathlib, nbpipe.pipeline.extract as e; e.extract(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", program, path], check=True)
elif what:
    extract(path)
text = ("hello", "goodbye")
changes = {"changed": text, "elsewhere": text, "reads": ("print(s3)", "print(s3, w3)")}
if what in changes:
    before, after = path.read_text(), path.read_text().replace(*changes[what], 1)
    assert before != after
    path.write_text(after)
start = time.perf_counter()
extract(path)
print(time.perf_counter() - start)
"""
_PARSE = """
import ast, json, sys, time
cells = json.load(open(sys.argv[1]))["cells"]
start = time.perf_counter()
for cell in cells:
    ast.parse("".join(cell["source"]).split("\\n", 1)[1])
print(time.perf_counter() - start)
"""


def extraction(repeats: int) -> tuple[str, str, list[Figure]]:
    """From a notebook to its pipeline, in a new process each time."""
    figures = []
    for what, program, state, written in (
        ("ast.parse of 1,000 cells of 16 lines", _PARSE, "", _long(1000)),
        ("nbpipe extract, 100 cells", _EXTRACT, "", _long(100)),
        ("nbpipe extract, 1,000 cells", _EXTRACT, "", _long(1000)),
        ("nbpipe extract, 1,000 cells, one changed", _EXTRACT, "changed", _long(1000)),
        ("nbpipe extract, 1,000 cells, one changed since another process", _EXTRACT, "elsewhere", _long(1000)),
        ("nbpipe extract, 1,000 cells, one reads another name", _EXTRACT, "reads", _long(1000)),
        ("nbpipe extract, 1,000 cells, none changed", _EXTRACT, "again", _long(1000)),
        ("nbpipe extract, 500 stages", _EXTRACT, "", chain(500)),
        ("nbpipe extract, 2,000 stages", _EXTRACT, "", chain(2000)),
        ("nbpipe extract, 10,000 stages", _EXTRACT, "", chain(10_000)),
    ):

        def measure(program: str = program, state: str = state, written: list[str] = written) -> float:
            with tempfile.TemporaryDirectory() as scratch:
                path = notebook(Path(scratch), written)
                argv = [sys.executable, "-c", program, str(path), state]
                return float(printed(argv, path.parent, XDG_CACHE_HOME=f"{scratch}/cache"))

        figures.append(repeat(what, min(repeats, 3), lambda: None, measure))
    note = "Inside the process, imports not counted; nothing is kept from one measurement for the next."
    return "Extraction", note, figures


LAB: list[Case] = [lab_startup, lab_events, lab_frames, lab_typing] if HAS_BROWSER else []
ALL: list[Case] = [
    *PEERS,
    five_stages,
    first_line,
    nothing_to_do,
    stage_start,
    cells,
    objects,
    nothing_at_scale,
    scheduling,
    beside,
    planning,
    extraction,
    exports,
    diffs,
    hand_over,
    history,
    remote_inputs,
    remote_cell,
    live,
    sweeping,
    *LAB,
]
