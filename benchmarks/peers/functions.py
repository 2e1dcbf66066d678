"""Tools whose steps are functions of one program: Metaflow, flytekit, Dagster, Kedro."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.base import Peer, put
from benchmarks.peers.steps import Step, Steps, indented, levels


def _metaflow(folder: Path, steps: Steps) -> None:
    """A step of several beside each other is a branch, and a join after it."""
    blocks: list[tuple[str, list[Step]]] = []
    for number, level in enumerate(levels(steps)):
        blocks.append((f"join_{number}", level))
    entry = [level[0].name + "_" if len(level) == 1 else f"fan_{name}" for name, level in blocks] + ["end"]
    text = ["from metaflow import FlowSpec, Parameter, step", "", "", "class Flow(FlowSpec):"]
    text += ["    k = Parameter('k', default=1, type=int)", "", "    @step", "    def start(self):"]
    text += [f"        self.next(self.{entry[0]})"]
    for number, (name, level) in enumerate(blocks):
        after = entry[number + 1]
        if len(level) > 1:
            fan = ", ".join(f"self.{step.name}_" for step in level)
            text += ["", "    @step", f"    def fan_{name}(self):", f"        self.next({fan})"]
        for step in level:
            text += ["", "    @step", f"    def {step.name}_(self):"]
            text += [f"        {need} = self.{need}" for need in step.needs]
            text += ["        k = self.k"] if step.parameter else []
            text += [indented(step.body, 8), f"        self.{step.name} = {step.name}"]
            text += [f"        self.next(self.{name if len(level) > 1 else after})"]
        if len(level) > 1:
            text += ["", "    @step", f"    def {name}(self, inputs):", "        self.merge_artifacts(inputs)"]
            text += [f"        self.next(self.{after})"]
    text += ["", "    @step", "    def end(self):", "        pass", "", "", "if __name__ == '__main__':", "    Flow()"]
    put(folder, "flow.py", "\n".join(text) + "\n")


def _flyte(folder: Path, steps: Steps) -> None:
    text = ["import numpy as np", "import pandas as pd", "from flytekit import task, workflow", ""]
    types = {step.name: step.type for step in steps}
    calls = []
    for step in steps:
        words = [*(f"{name}: {types[name]}" for name in step.needs), *(["k: int"] if step.parameter else [])]
        # The version of the cache is the author's to change: here it says what the body says.
        version = sum(map(ord, step.body))
        text += ["", f"@task(cache=True, cache_version='{version}')"]
        text += [
            f"def {step.name}_({', '.join(words)}) -> {step.type}:",
            indented(step.body),
            f"    return {step.name}",
            "",
        ]
        given = [*(f"{name}={name}" for name in step.needs), *(["k=k"] if step.parameter else [])]
        calls.append(f"    {step.name} = {step.name}_({', '.join(given)})")
    last = steps[-1]
    text += ["", "@workflow", f"def main(k: int = 1) -> {last.type}:", *calls, f"    return {last.name}"]
    put(folder, "flow.py", "\n".join(text) + "\n")


def _dagster(folder: Path, steps: Steps) -> None:
    text = ["import os", "", "from dagster import in_process_executor, job, op", ""]
    calls = []
    for step in steps:
        text += ["", "@op", f"def {step.name}_({', '.join(step.needs)}):"]
        text += ["    k = int(os.environ['K'])"] if step.parameter else []
        text += [indented(step.body), f"    return {step.name}", ""]
        calls.append(f"    {step.name} = {step.name}_({', '.join(step.needs)})")
    text += ["", "@job(executor_def=in_process_executor)", "def main():", *calls]
    put(folder, "flow.py", "\n".join(text) + "\n")
    put(folder, "home/dagster.yaml", "telemetry:\n  enabled: false\n")
    put(folder, "run.sh", 'export DAGSTER_HOME="$PWD/home" K="$2"\nexec "$1"/dagster job execute -f flow.py -j main\n')


def _kedro(folder: Path, steps: Steps) -> None:
    text = ["import sys", "", "from kedro.io import DataCatalog, MemoryDataset"]
    text += ["from kedro.pipeline import node, pipeline", "from kedro.runner import SequentialRunner", ""]
    nodes = []
    for step in steps:
        words = [*step.needs, *(["k"] if step.parameter else [])]
        text += ["", f"def {step.name}_({', '.join(words)}):", indented(step.body), f"    return {step.name}", ""]
        nodes.append(f"    node({step.name}_, {words or None!r}, {step.name!r}),")
    text += ["", "flow = pipeline([", *nodes, "])"]
    text += ["SequentialRunner().run(flow, DataCatalog({'k': MemoryDataset(int(sys.argv[1]))}))"]
    put(folder, "flow.py", "\n".join(text) + "\n")


METAFLOW = Peer(
    "Metaflow",
    ("metaflow==2.19.39",),
    _metaflow,
    lambda bin_, k: [f"{bin_}/python", "flow.py", "--no-pylint", "run", "--k", str(k)],
    "a process for each step; `run` never skips",
)
FLYTE = Peer(
    "flytekit, local",
    ("flytekit==1.16.31", "pyarrow"),
    _flyte,
    lambda bin_, k: [f"{bin_}/pyflyte", "run", "flow.py", "main", "--k", str(k)],
    "one process; versions of the cache by hand",
)
DAGSTER = Peer(
    "Dagster, in-process",
    ("dagster==1.13.27",),
    _dagster,
    lambda bin_, k: ["bash", "run.sh", str(bin_), str(k)],
    "one process; never skips",
)
KEDRO = Peer(
    "Kedro",
    ("kedro==1.7.0",),
    _kedro,
    lambda bin_, k: [f"{bin_}/python", "flow.py", str(k)],
    "one process, values in memory; never skips",
)
