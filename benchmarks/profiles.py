"""Where the time goes: of a run with nothing to do, and of a stage that starts warm; and what was done about each piece."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

from benchmarks.measure import Figure, command
from benchmarks.notebooks import NBPIPE, chain, notebook
from nbpipe.run.journal import JOURNAL, read

_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| +(\S+)")
#: Packages that are named; the rest is Python's own library.
_NAMED = {
    "click": "click: parses the command",
    "msgspec": "msgspec: journals, manifests, pipelines",
    "blake3": "blake3: digests",
    "nbpipe": "nbpipe's own modules",
}
_DONE_ABOUT = {
    "click": "a command is imported on use; `rich`, `nbformat`, `papermill`, `mlflow`, `pandas` never here (tested)",
    "nbpipe": "modules that only a run with something to do needs are imported on use",
    "library": "`asyncio`, `subprocess`, `ssl` are not needed, and not imported",
    "work": "analysis and fingerprints are kept by content, objects verified by stamps; no run folder, no executor, no MLflow",
}


def nothing_to_do(repeats: int) -> tuple[str, str, list[Figure]]:
    """Five stages, all results there: imports as Python itself counts them, and what is left."""
    folder = Path(tempfile.mkdtemp())
    notebook(folder, chain(5))
    run = [*NBPIPE, "run", "bench.ipynb", "--quiet"]
    command(run, folder)
    env = os.environ | {"NBPIPE_TRACKING": "off", "NBPIPE_KEEP_WARM": "5m"}
    whole, work, bare = Figure("the whole command"), Figure("reading, planning, comparing"), Figure("python -c pass")
    parts: dict[str, Figure] = {name: Figure(f"import {words}") for name, words in _NAMED.items()}
    parts["library"] = Figure("import Python's own library")
    for _ in range(repeats):
        bare.seconds.append(command([sys.executable, "-c", "pass"], folder))
        start = time.perf_counter()
        told = subprocess.run(
            [sys.executable, "-X", "importtime", *run[1:]],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        whole.seconds.append(time.perf_counter() - start)
        spent: defaultdict[str, float] = defaultdict(float)
        for micro, module in _IMPORT.findall(told.stderr):
            top = module.partition(".")[0]
            spent[top if top in _NAMED else "library"] += int(micro) / 1e6
        for name, figure in parts.items():
            figure.seconds.append(spent[name])
        work.seconds.append(max(0.0, whole.seconds[-1] - sum(spent.values()) - bare.seconds[-1]))
    shutil.rmtree(folder)
    for name, figure in parts.items():
        figure.extra = _DONE_ABOUT.get(name, "")
    work.extra = _DONE_ABOUT["work"]
    note = "`nbpipe run` on five stages with nothing to do, with `-X importtime`, which itself costs a little."
    return "Where the time goes: nothing to do", note, [whole, bare, *parts.values(), work]


def stage_start(repeats: int) -> tuple[str, str, list[Figure]]:
    """Trivial stages in a row, from the journal and from what each job says of itself."""
    folder = Path(tempfile.mkdtemp())
    notebook(folder, chain(8))
    whole = Figure("from one stage's end to the next one's")
    plan = Figure(
        "key, look into the store, job's folder", [], "definitions and names by an index; one spec, written durably"
    )
    fork = Figure(
        "the job is handed over, and its end is heard",
        [],
        "its runner and kernel wait; the end is told before the process has gone, and waited for, not looked for",
    )
    kernel = Figure(
        "kernel until it answers", [], "it was started while the stage above ran, and has looked at its modules"
    )
    load = Figure("inputs and definitions", [], "memory-mapped; definitions from source, only those that are reached")
    cells = Figure("the cells", [], "the user's")
    store = Figure("observing and storing", [], "digested while written; fsync before the result counts")
    rest = Figure("papermill, the kernel's end, verdict", [], "what was run is stored while the kernel ends")
    for _ in range(repeats + 1):
        shutil.rmtree(folder / ".nbpipe", ignore_errors=True)
        command([*NBPIPE, "run", "bench.ipynb", "--quiet"], folder)
        run = next((folder / ".nbpipe").glob("runs/*"))
        events = list(read(run / JOURNAL))
        started = {event.stage: event.time for event in events if event.kind == "stage-started"}
        ended = [(event.stage, event.time) for event in events if event.kind == "stage-succeeded"]
        for (_, before), (stage, after) in pairwise(ended):
            said = json.loads(next(run.glob(f"jobs/{stage}*/verdict.json")).read_text())["seconds"]
            whole.seconds.append(after - before)
            plan.seconds.append(started[stage] - before)
            fork.seconds.append(after - started[stage] - said["total"])
            inside = 0.0
            for name, figure in (("kernel", kernel), ("load", load), ("cells", cells), ("store", store)):
                figure.seconds.append(said[name])
                inside += said[name]
            rest.seconds.append(said["total"] - inside)
    shutil.rmtree(folder)
    note = "A chain of eight trivial stages, the parent of the kernels warm; of each stage but the first."
    return "Where the time goes: a warm stage", note, [whole, plan, fork, kernel, load, cells, store, rest]
