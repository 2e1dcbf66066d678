"""The history of 10,000 runs with 20 metrics each: pages, filters, sorting, everything into a DataFrame."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from benchmarks.measure import Figure, repeat
from nbpipe.history.refresh import forget
from nbpipe.history.search import Page, Query, search
from nbpipe.run import record as records
from nbpipe.run.journal import Journal
from nbpipe.run.project import Project

RUNS = 10_000
METRICS = 20
_MODELS = ("cnn", "mlp", "resnet")


def history(repeats: int) -> tuple[str, str, list[Figure]]:
    """Questions as the widget asks them, in one process that has asked before."""
    folder = Path(tempfile.mkdtemp())
    project = Project(folder)
    draw = random.Random(0)  # noqa: S311 - figures only
    # Nothing here has to survive a crash of the machine: waiting for the disk would take most of the time.
    with mock.patch.object(os, "fsync"):
        past(project, RUNS)
    time.sleep(0.1)

    def ask(query: Query, look: Callable[[Page], object] = lambda page: page.rows) -> Callable[[], float]:
        def measure() -> float:
            start = time.perf_counter()
            look(search(project, query))
            return time.perf_counter() - start

        return measure

    def one_more() -> None:
        _write(project, draw)

    first = ask(Query())
    cold = repeat("the same without an index: every journal is read", 1, lambda: forget(project), first)
    ask(Query(limit=None), Page.dataframe)()  # imports pandas
    questions = {
        "a page of 50, the newest": Query(),
        "a page of 50, 5,000 further down": Query(offset=5000),
        "sorted by a metric": Query(sort="metrics.m7"),
        "sorted by a parameter": Query(sort="params.model", descending=False),
        "filtered: m7 > 0.9 and lr = 0.01": Query(where=("m7 > 0.9 and lr = 0.01",)),
        "filtered by status and free text": Query(statuses=("failed",), text="resnet boom"),
        "filtered and sorted: m7 > 0.5, by m8": Query(where=("m7 > 0.5",), sort="m8"),
    }
    figures = [repeat(what, repeats * 4, lambda: None, ask(query)) for what, query in questions.items()]
    figures.append(repeat("a page of 50 after one more run", repeats, one_more, first))
    everything = ask(Query(limit=None), Page.dataframe)
    figures.append(repeat("all rows into a pandas DataFrame", repeats, lambda: None, everything))
    size = (project.state / "cache" / "history.db").stat().st_size
    cold.extra = f"index {size / 2**20:.0f} MiB"
    shutil.rmtree(folder)
    note = f"{RUNS:,} runs with {METRICS} metrics each, written by the journal; asked in one process through `nbpipe.history.search`."
    return "History", note, [*figures, cold]


def past(project: Project, runs: int, *, name: str = "bench", notebook: str = "bench.ipynb") -> None:
    """Runs of a notebook that have ended, on the disk."""
    draw = random.Random(0)  # noqa: S311 - figures only
    for _ in range(runs):
        _write(project, draw, name=name, notebook=notebook)


def _write(project: Project, draw: random.Random, *, name: str = "bench", notebook: str = "bench.ipynb") -> None:
    run = project.new_run() if not (number := _next.get(project.root, 0)) else f"r{number}"
    folder = project.runs / run
    folder.mkdir(exist_ok=True)
    _next[project.root] = int(run[1:]) + 1
    failed = draw.randrange(10) == 0
    params = {"lr": draw.choice([0.1, 0.01, 0.001]), "model": draw.choice(_MODELS), "epochs": draw.randrange(100)}
    record = records.Record(id=run, notebook=notebook, name=name, version="0" * 64, created=time.time())
    failure = {"code": "user-code", "message": "boom"} if failed else None
    journal = Journal(folder)
    journal.append(
        "run-started",
        id=run,
        notebook=record.notebook,
        name=record.name,
        version=record.version,
        number=1,
        params=params,
        given=["lr"],
        stages=[{"name": "train", "kind": "stage"}],
    )
    metrics = {f"m{n}": draw.random() for n in range(METRICS)}
    journal.append("stage-succeeded", stage="train", attempt=1, seconds=1.0, metrics=metrics, key="0" * 64)
    record.status = "failed" if failed else "succeeded"
    journal.append("run-finished", status=record.status, exit_code=int(failed), failure=failure)
    journal.close()
    records.write(folder, record)


#: Number of the next run: listing all of them for each would take most of the time.
_next: dict[Path, int] = {}
