"""Tools that run notebooks: nbpipe itself, papermill, Ploomber."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat

from benchmarks.peers.base import Peer, put
from benchmarks.peers.steps import Steps

_K = "k: int = 1"


def _notebook(cells: list[str], *, tagged: bool = False) -> str:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number}"
    if tagged:
        book.cells[0].metadata["tags"] = ["parameters"]
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return str(nbformat.writes(book))


def _nbpipe(folder: Path, steps: Steps) -> None:
    put(folder, "nbpipe.toml", "")
    put(
        folder,
        "flow.ipynb",
        _notebook([f"%%params\n{_K}", *(f"%%stage s_{step.name}\n{step.body}" for step in steps)]),
    )


def _whole(folder: Path, steps: Steps) -> None:
    put(folder, "flow.ipynb", _notebook([_K, *(step.body for step in steps)], tagged=True))


def step_notebook(folder: Path, steps: Steps) -> None:
    """One notebook a step; values go from one to the next as pickles in `data`."""
    (folder / "data").mkdir(exist_ok=True)
    for step in steps:
        load = "".join(f"\n{name} = pickle.load(open('data/{name}.pkl', 'rb'))" for name in step.needs)
        save = f"pickle.dump({step.name}, open('data/{step.name}.pkl', 'wb'), protocol=5)"
        put(folder, f"{step.name}.ipynb", _notebook([_K, f"import pickle{load}", step.body, save], tagged=True))
    lines = [
        "set -e",
        *(f'"$1"/papermill --no-progress-bar {s.name}.ipynb out-{s.name}.ipynb -p k "$2"' for s in steps),
    ]
    put(folder, "run.sh", "\n".join(lines) + "\n")


def _ploomber(folder: Path, steps: Steps) -> None:
    put(folder, "env.yaml", "k: 1\n")
    tasks = []
    for step in steps:
        upstream = repr(list(step.needs)) if step.needs else "None"
        load = "".join(f"\n{name} = pickle.load(open(upstream['{name}']['data'], 'rb'))" for name in step.needs)
        save = f"pickle.dump({step.name}, open(product['data'], 'wb'), protocol=5)"
        head = f"# %% tags=['parameters']\nupstream = {upstream}\nproduct = None\nk = 1\n\n# %%\nimport pickle{load}\n"
        put(folder, f"{step.name}.py", f"{head}\n# %%\n{step.body}\n\n# %%\n{save}\n")
        given = "\n    params:\n      k: '{{k}}'" if step.parameter else "\n    params:\n      k: 1"
        tasks.append(
            f"  - source: {step.name}.py\n    product:\n      nb: out/{step.name}.ipynb\n      data: out/{step.name}.pkl{given}"
        )
    put(folder, "pipeline.yaml", "tasks:\n" + "\n".join(tasks) + "\n")


NBPIPE = Peer(
    "nbpipe",
    (),
    _nbpipe,
    lambda _bin, k: [sys.executable, "-m", "nbpipe", "run", "flow.ipynb", "--quiet", "-p", f"k={k}"],
    "a kernel for each stage, content checked; the parent of its kernels may be there from the run before, as it is for its users",
)
NBPIPE_COLD = Peer(
    "nbpipe, nothing kept warm",
    (),
    _nbpipe,
    lambda _bin, k: ["env", "NBPIPE_KEEP_WARM=off", *NBPIPE.command(_bin, k)],
    "the same after a restart of the machine, or on one that keeps nothing",
)
PAPERMILL = Peer(
    "papermill",
    ("papermill==2.7.0", "ipykernel"),
    _whole,
    lambda bin_, k: [f"{bin_}/papermill", "--no-progress-bar", "flow.ipynb", "out.ipynb", "-p", "k", str(k)],
    "one notebook in one kernel; never skips",
)
STEPWISE = Peer(
    "papermill, a command for each step",
    ("papermill==2.7.0", "ipykernel"),
    step_notebook,
    lambda bin_, k: ["bash", "run.sh", str(bin_), str(k)],
    "pickles by hand; never skips",
)
PLOOMBER = Peer(
    "Ploomber",
    ("ploomber==0.23.3", "ipykernel", "setuptools<81"),
    _ploomber,
    lambda bin_, k: [f"{bin_}/ploomber", "build", "--env--k", str(k)],
    "a kernel for each task",
)
