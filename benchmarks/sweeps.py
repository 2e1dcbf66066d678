"""What a trial of a sweep costs over the code that it runs."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Figure, command
from benchmarks.notebooks import NBPIPE, chain, notebook

SWEEP = "Trials of a sweep"
_FEW, _MANY = 4, 24
_CELLS = [
    "%%params\nlr: float = 0.5",
    "%%stage load\ndata = sum([1, 2, 3])",
    "%%stage train --metrics acc\nacc = lr * data",
]
#: The same command, whose trials start each kernel when it is wanted, and look again and again whether a job has ended.
_WITHOUT = """
from nbpipe.sweep.shared import SharedExecutor
del SharedExecutor.expect, SharedExecutor.wait
from nbpipe.cli.main import main
main()
"""
_PLAIN = [sys.executable, "-c", _WITHOUT]


def sweeping(repeats: int) -> tuple[str, str, list[Figure]]:
    """A stage that does next to nothing, swept; and as one of many in a run."""
    folder = Path(tempfile.mkdtemp())
    notebook(folder, _CELLS)
    notebook(folder, chain(_FEW), "few.ipynb")
    notebook(folder, chain(_MANY), "many.ipynb")
    run = Figure("nbpipe run, one parameter changed")
    stage = Figure("per stage of a run")
    trial, beside = Figure("per trial"), Figure("per trial, two at once")
    plain, plain_beside = Figure("… without kernels ahead"), Figure("… without kernels ahead, two at once")
    figures = ((trial, NBPIPE, "1"), (plain, _PLAIN, "1"), (beside, NBPIPE, "2"), (plain_beside, _PLAIN, "2"))

    def sweep(program: list[str], trials: int, parallel: str) -> float:
        shutil.rmtree(folder / ".nbpipe", ignore_errors=True)
        values = ",".join(f"{n / 100}" for n in range(1, trials + 1))
        words = ["sweep", "bench.ipynb", "-p", f"lr={values}", "--metric", "acc:max", "--parallel", parallel]
        return command([*program, *words], folder)

    def stages(name: str) -> float:
        shutil.rmtree(folder / ".nbpipe", ignore_errors=True)
        return command([*NBPIPE, "run", name, "--quiet"], folder)

    for number in range(min(repeats, 3)):
        for figure, program, parallel in figures:
            few = sweep(program, _FEW, parallel)
            figure.seconds.append((sweep(program, _MANY, parallel) - few) / (_MANY - _FEW))
        changed = [*NBPIPE, "run", "bench.ipynb", "--quiet", "-p", f"lr={10 + number}"]
        run.seconds.append(command(changed, folder))
        few = stages("few.ipynb")
        stage.seconds.append((stages("many.ipynb") - few) / (_MANY - _FEW))
    shutil.rmtree(folder)
    note = (
        f"Sweeps of {_MANY} trials less sweeps of {_FEW}, per trial: a run, its journal, its kernel and its result. "
        f"Runs of {_MANY} stages in a row less runs of {_FEW}, per stage."
    )
    return SWEEP, note, [run, stage, trial, plain, beside, plain_beside]
