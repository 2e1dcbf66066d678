"""Schedulers, each in an environment of its own, which uv makes once and keeps; and a project to export from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from nbpipe.export import verification
from nbpipe.export.registry import exporter
from nbpipe.model import Trace
from nbpipe.run import record as records
from nbpipe.run.project import Project
from nbpipe.store import open_store

ROOT = Path(__file__).parents[2]
_KEY = "a key for the tests only"
_LONGEST = 1200.0
#: Options with which an example is run and exported.
PROFILES = {"digits.ipynb": ("--profile", "smoke")}


def environment_of(name: str, *packages: str) -> Path:
    """`bin` of the scheduler's own environment, made if it is not there. Raises CalledProcessError where it cannot be."""
    return verification.environment_of(name, packages)


@dataclass
class Site:
    """A project with a notebook, the results of a native run of it, and a store for the runs of a scheduler."""

    root: Path
    notebook: str
    native: dict[str, Trace] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        """Folder of the project."""
        return self.root / "project"

    @property
    def store(self) -> Path:
        """The store of the exported runs: nothing is in it that the native run has computed."""
        return self.root / "store"

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """What every process is started with."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("AIRFLOW", "NBPIPE"))}
        given = {
            "NBPIPE_TRACKING": "off",
            "NBPIPE_STORE_KEY": _KEY,
            "NBPIPE_PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(self.root / "cache"),
        }
        return kept | given | dict(more)

    def call(
        self, *words: str | Path, cwd: Path | None = None, more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        return subprocess.run(
            list(map(str, words)),
            cwd=cwd or self.project,
            env=self.environment(more or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_LONGEST,
        )

    def nbpipe(self, *words: str) -> str:
        """`nbpipe WORDS`, which succeeds."""
        done = self.call(sys.executable, "-m", "nbpipe", *words)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def export(self, to: str, *words: str) -> Path:
        """Export the notebook; the folder."""
        out = self.project / "exports" / to
        store = str(self.store)
        if exporter(to).remote:  # the stages are told of the folder by environment
            words, store = ("--image", "python:3", *words), f"file://{store}"
        self.nbpipe("export", self.notebook, "--to", to, "-o", str(out), "--store", store, "--force", *words)
        return out

    def run_natively(self, *words: str) -> None:
        """`nbpipe run`; its results are in `native` afterwards."""
        self.nbpipe("run", self.notebook, *words)
        self.native = self.results("r1", self.project / ".nbpipe" / "store")

    def latest(self) -> records.Record:
        """The record of the latest run in the history."""
        project = Project(self.project)
        found = records.read(project.runs / project.run_ids()[0])
        assert found is not None
        return found

    def has_succeeded(self) -> bool:
        """Whether the latest run has. One that has just begun, by itself, may have no record yet."""
        project = Project(self.project)
        found = records.read(project.runs / project.run_ids()[0])
        return found is not None and found.status == "succeeded"

    def results(self, run: str, store: Path) -> dict[str, Trace]:
        """Stage -> result of a run."""
        record = records.read(Project(self.project).runs / run)
        assert record is not None
        before = os.environ.get("NBPIPE_STORE_KEY")
        os.environ["NBPIPE_STORE_KEY"] = _KEY
        try:
            traces = open_store(store).traces
            found = {}
            for stage, key in record.keys.items():
                kept = [trace for trace in traces.lookup(key) if trace.stage == stage]
                assert kept, f"the result of '{stage}' in {run} was not kept for reuse: {record.warnings}"
                found[stage] = kept[0]
            return found
        finally:
            os.environ.pop("NBPIPE_STORE_KEY")
            if before is not None:
                os.environ["NBPIPE_STORE_KEY"] = before


def made(root: Path, notebook: str) -> Site:
    """A copy of the examples."""
    site = Site(root, notebook)
    shutil.copytree(ROOT / "example_notebooks", site.project, ignore=shutil.ignore_patterns(".nbpipe", "exports"))
    (site.project / "nbpipe.toml").touch()
    return site


def written(folder: Path, *cells: str, name: str = "n.ipynb") -> Site:
    """A project with a notebook of these cells."""
    site = Site(folder, name)
    site.project.mkdir(parents=True)
    (site.project / "nbpipe.toml").touch()
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell, id=f"c{n}") for n, cell in enumerate(cells)])
    nbformat.write(book, site.project / name)
    return site


def conformance(native: dict[str, Trace], exported: dict[str, Trace]) -> dict[str, tuple[bool, int]]:
    """Stage -> whether keys, digests of values and files, and metrics are equal, and how many things were compared."""
    found = {}
    for stage in sorted(native.keys() | exported.keys()):
        one, other = (_given(traces[stage]) if stage in traces else {} for traces in (native, exported))
        found[stage] = (one == other and bool(one), len(one))
    return found


def _given(trace: Trace) -> dict[str, object]:
    outcome = trace.outcome
    values = {**outcome.outputs, **outcome.observed}
    return {
        "key": trace.key,
        **{f"value {name}": item.digest for name, item in values.items()},
        **{f"file {state.path}": state.digest for state in outcome.files_written},
        **{f"metric {name}": value for name, value in outcome.metrics.items()},
    }
