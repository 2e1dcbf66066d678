"""What nbpipe adds to a stage: from ready to its first line, per stage, per cell; and what storing an object costs."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from benchmarks.measure import Figure, command, repeat
from benchmarks.notebooks import NBPIPE, chain, notebook, papermill
from nbpipe.run.journal import JOURNAL, read

FIRST_LINE = "What a stage costs before its first line"
CELLS = "Notebooks of many trivial cells"
OBJECTS = "Storing an object of 1 GB"
_IMPORTING = """%%stage s{n} --metrics begun,imported
import time
begun = time.time()
import pandas
import torch
imported = time.time()
v{n} = {above} + 1"""


def first_line(repeats: int) -> tuple[str, str, list[Figure]]:
    """Trivial stages one after the other, and stages that import torch and pandas."""
    folder = Path(tempfile.mkdtemp())
    state = folder / ".nbpipe"

    def run(name: str) -> float:
        shutil.rmtree(state, ignore_errors=True)
        return command([*NBPIPE, "run", name, "--quiet"], folder)

    notebook(folder, chain(5), "few.ipynb")
    notebook(folder, chain(25), "many.ipynb")
    notebook(folder, [_IMPORTING.format(n=n, above=f"v{n - 1}" if n else "sum([1])") for n in range(6)], "heavy.ipynb")
    per_stage = Figure("per trivial stage, of 25 in a row less 5 in a row")
    begun = Figure("from the end of the stage above to the first line")
    imported = Figure("from there until torch and pandas are imported")
    run("few.ipynb")  # from here on the parent of the kernels is warm
    for _ in range(repeats):
        few, many = run("few.ipynb"), run("many.ipynb")
        per_stage.seconds.append((many - few) / 20)
        run("heavy.ipynb")
        done = [event for event in read(next(state.glob("runs/*")) / JOURNAL) if event.kind == "stage-succeeded"]
        for above, stage in pairwise(done):
            begun.seconds.append(stage.data["metrics"]["begun"] - above.time)
            imported.seconds.append(stage.data["metrics"]["imported"] - stage.data["metrics"]["begun"])
    shutil.rmtree(folder)
    note = "Warm: the parent of the kernels is there. A process for each stage; results digested, stored durably, verified."
    return FIRST_LINE, note, [per_stage, begun, imported]


def cells(repeats: int) -> tuple[str, str, list[Figure]]:
    """One stage of 100 or of 1,000 cells."""
    figures = []
    for number in (100, 1000):
        folder = Path(tempfile.mkdtemp())
        body = [f"x{n} = {n}" for n in range(number)]
        notebook(folder, ["%%params\nk: int = 1", *(f"%%stage s\n{cell}" for cell in body)])
        notebook(folder, body, "plain.ipynb")
        jobs = Figure(f"nbpipe, {number:,} cells, the job alone")

        def run(at: Path = folder, jobs: Figure = jobs) -> float:
            shutil.rmtree(at / ".nbpipe", ignore_errors=True)
            seconds = command([*NBPIPE, "run", "bench.ipynb", "--quiet"], at)
            verdict = json.loads(next(at.glob(".nbpipe/runs/*/jobs/*/verdict.json")).read_text())
            jobs.seconds.append(verdict["seconds"]["total"])
            return seconds

        times = repeats if number == 100 else min(repeats, 2)  # noqa: PLR2004 - the small one
        figures += [
            repeat(f"papermill, {number:,} cells", times, lambda: None, lambda at=folder: papermill(at)),  # type: ignore[misc]
            repeat(f"nbpipe, {number:,} cells", times, lambda: None, run),
            jobs,
        ]
        shutil.rmtree(folder)
    each = [(many - few) / 900 for few, many in zip(figures[2].seconds, figures[5].seconds, strict=False)]
    figures.append(Figure("nbpipe, per cell, of 1,000 less 100", each))
    few, many = (_printing(number, min(repeats, 2)) for number in (10, 1000))
    each = [(b - a) / 990 for a, b in zip(few.seconds, many.seconds, strict=True)]
    figures += [few, many, Figure("nbpipe, per cell, of 1,000 less 10 that print 10 MB", each)]
    return CELLS, "Whole commands, and the job alone as it says itself.", figures


def _printing(number: int, times: int) -> Figure:
    """So many cells that print 10 MB between them; the job alone."""
    figure = Figure(f"nbpipe, {number:,} cells that print 10 MB, the job alone")
    folder = Path(tempfile.mkdtemp())
    body = f"print(('x' * 99 + '\\n') * {100_000 // number})"
    notebook(folder, ["%%params\nk: int = 1", *[f"%%stage s\n{body}"] * number])
    for _ in range(times):
        shutil.rmtree(folder / ".nbpipe", ignore_errors=True)
        command([*NBPIPE, "run", "bench.ipynb", "--quiet"], folder)
        verdict = json.loads(next(folder.glob(".nbpipe/runs/*/jobs/*/verdict.json")).read_text())
        figure.seconds.append(verdict["seconds"]["total"])
    shutil.rmtree(folder)
    return figure


def objects(repeats: int) -> tuple[str, str, list[Figure]]:
    """An array, in one process, page cache warm."""
    import numpy as np

    from nbpipe.store import open_store

    array = np.ones(125_000_000)
    plain_, saved, loaded = Figure("np.save"), Figure("nbpipe: save, with digest"), Figure("nbpipe: load, mapped")
    for number in range(min(repeats, 3)):
        array[0] = number
        folder = Path(tempfile.mkdtemp())
        store = open_store(folder / "store")
        start = time.perf_counter()
        np.save(folder / "x.npy", array)
        plain_.seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
        artifacts = store.save_values({"x": array}, stage="s")
        saved.seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
        store.load_values(artifacts, {})
        loaded.seconds.append(time.perf_counter() - start)
        shutil.rmtree(folder)
    note = "nbpipe waits until the disk has it (fsync), NumPy does not."
    return OBJECTS, note, [plain_, saved, loaded]
