"""What nbpipe's own work costs where there is much of it: nothing to do, scheduling, recording, waiting."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import msgspec
import psutil

from benchmarks.measure import Figure, command, repeat
from benchmarks.notebooks import NBPIPE, chain, notebook
from benchmarks.settle import settle
from nbpipe.executors.base import Capacity, JobState
from nbpipe.job.folder import VERDICT, write_durably
from nbpipe.model import JobSpec, Outcome
from nbpipe.run.api import run_notebook
from nbpipe.store import open_store

NOTHING = "Nothing to do, by the number of stages"
SCHEDULING = "Scheduling"
BESIDE = "What goes on beside a run"


def nothing_at_scale(repeats: int) -> tuple[str, str, list[Figure]]:
    """Chains whose latest run was complete."""
    figures = []
    run = [*NBPIPE, "run", "bench.ipynb", "--quiet"]
    for stages in (5, 100, 1000):
        folder = Path(tempfile.mkdtemp())
        (folder / "nbpipe.toml").touch()
        settle(notebook(folder, chain(stages)))
        command(run, folder)
        figures.append(
            repeat(f"nbpipe run, {stages:,} stages", repeats, lambda: None, lambda at=folder: command(run, at))  # type: ignore[misc]
        )
        shutil.rmtree(folder)
    return NOTHING, "Whole commands; a run before found every result in the store.", figures


class _Nothing:
    """An executor whose jobs have ended, with a result, when they are handed in."""

    capacity = Capacity(cpus=200.0)

    def __init__(self, store: str) -> None:
        self._store = open_store(store)
        self._one = self._store.save_values({"v": 1}, stage="s")["v"]

    def submit(self, job_dir: Path, spec: JobSpec) -> str:
        outputs = dict.fromkeys(spec.outputs, self._one)
        outcome = Outcome(stage=spec.stage, attempt=spec.attempt, token=spec.token, status="succeeded", outputs=outputs)
        write_durably(job_dir / VERDICT, msgspec.json.encode(outcome))
        return spec.token

    def poll(self, handle: str) -> JobState:  # noqa: ARG002
        return JobState("exited", 0)

    def cancel(self, handle: str, *, force: bool = False) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing is open."""


#: A minute or more: once is enough.
_LONG = 10_000


def scheduling(repeats: int) -> tuple[str, str, list[Figure]]:
    """Per stage: look-up, folder, hand-in, commit, journal; jobs take no time, up to 200 at once."""
    figures = []
    for shape, written in (("wide", _wide), ("in a chain", chain)):
        for stages in (100, 400, 1600, 10_000):
            figure = Figure(f"per stage, {stages:,} stages {shape}")
            for _ in range(min(repeats, 3) if stages < _LONG else 1):
                with tempfile.TemporaryDirectory() as scratch:
                    path = notebook(Path(scratch), written(stages))
                    (path.parent / "nbpipe.toml").touch()
                    executor = _Nothing(str(path.parent / ".nbpipe/store"))
                    with patch.dict(os.environ, NBPIPE_TRACKING="off"):
                        start = time.perf_counter()
                        run_notebook(path, executor=executor, jobs=200)
                        figure.seconds.append((time.perf_counter() - start) / stages)
            figures.append(figure)
    note = "In one process, with an executor that does nothing: what is left is nbpipe's own, extraction and fsync included."
    return SCHEDULING, note, figures


def beside(repeats: int) -> tuple[str, str, list[Figure]]:
    """A run with and without its record in MLflow, in pairs; and a warm parent that nobody asks for anything."""
    folder = Path(tempfile.mkdtemp())
    notebook(folder, chain(5))
    run = [*NBPIPE, "run", "bench.ipynb", "--quiet", "--fresh"]
    off, on = Figure("five stages, tracking off"), Figure("five stages, tracking on")
    command(run, folder, NBPIPE_TRACKING="on")
    for _ in range(repeats):
        off.seconds.append(command(run, folder))
        on.seconds.append(command(run, folder, NBPIPE_TRACKING=""))
        # What is sent to MLflow is sent by another process, after the run; the next measurement must not wait beside it.
        _until_quiet()
    difference = Figure("what tracking adds, median of the differences")
    difference.seconds = [b - a for a, b in zip(off.seconds, on.seconds, strict=True)]
    shutil.rmtree(folder)
    return BESIDE, "Whole commands, the parent of the kernels warm.", [off, on, difference, _idle()]


def _until_quiet() -> None:
    """Until no process of nbpipe's delivery is left."""
    while any("nbpipe.tracking" in " ".join(_line(process)) for process in psutil.process_iter()):
        time.sleep(0.1)


def _line(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _idle(seconds: float = 20.0) -> Figure:
    """Seconds of processor time that waiting parents take in one second."""
    from nbpipe.executors import warm

    os.environ.setdefault("NBPIPE_KEEP_WARM", "5m")
    waiting = [psutil.Process(pid) for pid, _ in warm.parents()]
    before = [sum(process.cpu_times()[:2]) for process in waiting]
    time.sleep(seconds)
    spent = [sum(process.cpu_times()[:2]) - at for process, at in zip(waiting, before, strict=True)]
    memory = max((process.memory_info().rss for process in waiting), default=0) / 2**20
    figure = Figure("processor time of a waiting parent, in one second", [each / seconds for each in spent])
    figure.extra = f"{len(waiting)} waiting; {memory:.0f} MiB the largest"
    return figure


def _wide(stages: int) -> list[str]:
    return ["%%params\nk: int = 1", *(f"%%stage s{n}\nv{n} = k + {n}" for n in range(stages))]
