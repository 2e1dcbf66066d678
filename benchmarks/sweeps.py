"""What a trial of a sweep costs over the code that it runs."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks.measure import Figure, command
from benchmarks.notebooks import NBPIPE, notebook

SWEEP = "Trials of a sweep"
_FEW, _MANY = 4, 24
_CELLS = [
    "%%params\nlr: float = 0.5",
    "%%stage load\ndata = sum([1, 2, 3])",
    "%%stage train --metrics acc\nacc = lr * data",
]


def sweeping(repeats: int) -> tuple[str, str, list[Figure]]:
    """A stage that does next to nothing, swept; and the same stage run once with another parameter."""
    folder = Path(tempfile.mkdtemp())
    notebook(folder, _CELLS)
    run, trial, beside = (
        Figure("nbpipe run, one parameter changed"),
        Figure("per trial"),
        Figure("per trial, two at once"),
    )

    def sweep(trials: int, *words: str) -> float:
        shutil.rmtree(folder / ".nbpipe", ignore_errors=True)
        values = ",".join(f"{n / 100}" for n in range(1, trials + 1))
        return command([*NBPIPE, "sweep", "bench.ipynb", "-p", f"lr={values}", "--metric", "acc:max", *words], folder)

    for number in range(min(repeats, 3)):
        for figure, words in ((trial, ("--parallel", "1")), (beside, ("--parallel", "2"))):
            few = sweep(_FEW, *words)
            figure.seconds.append((sweep(_MANY, *words) - few) / (_MANY - _FEW))
        changed = [*NBPIPE, "run", "bench.ipynb", "--quiet", "-p", f"lr={10 + number}"]
        run.seconds.append(command(changed, folder))
    shutil.rmtree(folder)
    note = f"Sweeps of {_MANY} trials less sweeps of {_FEW}, per trial: a run, its journal, its kernel and its result."
    return SWEEP, note, [run, trial, beside]
