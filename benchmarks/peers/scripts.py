"""Tools that run commands: DVC and Snakemake, on one Python script a step."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.base import Peer, put
from benchmarks.peers.steps import Steps


def _scripts(folder: Path, steps: Steps) -> None:
    """`python NAME.py [K]`; values go from one to the next as pickles in `data`."""
    (folder / "data").mkdir(exist_ok=True)
    for step in steps:
        head = "import pickle\nimport sys\n" + ("k = int(sys.argv[1])\n" if step.parameter else "")
        load = "".join(f"{name} = pickle.load(open('data/{name}.pkl', 'rb'))\n" for name in step.needs)
        save = f"pickle.dump({step.name}, open('data/{step.name}.pkl', 'wb'), protocol=5)\n"
        put(folder, f"{step.name}.py", f"{head}{load}{step.body}\n{save}")


def _dvc(folder: Path, steps: Steps) -> None:
    _scripts(folder, steps)
    put(folder, "run.sh", 'set -e\nexport PATH="$1:$PATH"\necho "k: $2" > params.yaml\nexec "$1"/dvc repro\n')
    put(folder, "params.yaml", "k: 1\n")
    stages = []
    for step in steps:
        deps = "".join(f"\n      - data/{name}.pkl" for name in step.needs)
        given = "\n    params:\n      - k" if step.parameter else ""
        word = " ${k}" if step.parameter else ""
        stages.append(
            f"  {step.name}:\n    cmd: python {step.name}.py{word}\n    deps:\n      - {step.name}.py{deps}{given}"
            f"\n    outs:\n      - data/{step.name}.pkl"
        )
    put(folder, "dvc.yaml", "stages:\n" + "\n".join(stages) + "\n")


def _snakemake(folder: Path, steps: Steps) -> None:
    _scripts(folder, steps)
    needed = {name for step in steps for name in step.needs}
    ends = [f"data/{step.name}.pkl" for step in steps if step.name not in needed]
    rules = [f"rule all:\n    input: {ends!r}"]
    for step in steps:
        files = [f"{step.name}.py", *(f"data/{name}.pkl" for name in step.needs)]
        given = "\n    params: k=config['given']" if step.parameter else ""
        word = " {params.k}" if step.parameter else ""
        rules.append(
            f"rule {step.name}_:\n    input: {files!r}\n    output: 'data/{step.name}.pkl'{given}\n"
            f"    shell: 'python {step.name}.py{word}'"
        )
    put(folder, "Snakefile", "\n\n".join(rules) + "\n")
    put(folder, "run.sh", 'export PATH="$1:$PATH"\nexec "$1"/snakemake --cores 2 --quiet --config given="$2"\n')


DVC = Peer(
    "DVC",
    ("dvc==3.67.1",),
    _dvc,
    lambda bin_, k: ["bash", "run.sh", str(bin_), str(k)],
    "scripts, not notebooks",
    prepare=("dvc", "init", "--no-scm", "-q"),
)
SNAKEMAKE = Peer(
    "Snakemake",
    ("snakemake==9.27.1",),
    _snakemake,
    lambda bin_, k: ["bash", "run.sh", str(bin_), str(k)],
    "scripts, not notebooks; times of files, not content",
)
