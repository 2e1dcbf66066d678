"""Runs as a newcomer makes them, with tracking on, and what MLflow then shows."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import psutil

from nbpipe.tracking import outbox


def write(folder: Path, name: str, *cells: str) -> Path:
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell, id=f"cell-{n}") for n, cell in enumerate(cells)]
    )
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, folder / name)
    return folder / name


def environment(folder: Path, **more: str) -> dict[str, str]:
    """What a newcomer has: nothing set for nbpipe or MLflow, a home of their own."""
    plain = {name: text for name, text in os.environ.items() if not name.startswith(("NBPIPE_", "MLFLOW_"))}
    return plain | {"XDG_CONFIG_HOME": str(folder / "config")} | more


def nbpipe(folder: Path, *words: str, **more: str) -> tuple[int, dict[str, Any]]:
    """Run a command with --json: its exit code and last line; {} where it was killed."""
    done = subprocess.run(
        [sys.executable, "-m", "nbpipe", *words, "--json"],
        cwd=folder,
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout or done.returncode < 0, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}


def wait_until_delivered(folder: Path) -> None:
    deadline = time.monotonic() + 150
    while outbox.pending(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert outbox.pending(folder) == [], (folder / ".nbpipe" / "outbox" / "deliver.log").read_text()


def deliverers(folder: Path) -> list[psutil.Process]:
    """Processes that deliver this project's runs."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "nbpipe.tracking.deliver" in words and words[-1] == str(folder.resolve()):
            found.append(process)
    return found


def runs(mlflow: Any, experiment: str) -> dict[str, Any]:
    """MLflow's runs of an experiment by name; no name is there twice."""
    found = mlflow.get_experiment_by_name(experiment)
    assert found is not None, f"there is no experiment {experiment}"
    listed = mlflow.search_runs([found.experiment_id])
    named = {run.info.run_name: run for run in listed}
    assert len(named) == len(listed), sorted(run.info.run_name for run in listed)
    return named


def files(mlflow: Any, run_id: str, at: str | None = None) -> Iterator[str]:
    for item in mlflow.list_artifacts(run_id, at):
        if item.is_dir:
            yield from files(mlflow, run_id, item.path)
        else:
            yield item.path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@functools.cache
def _empty_database() -> Path:
    from mlflow import MlflowClient

    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    MlflowClient(tracking_uri=f"sqlite:///{folder}/empty.db").search_experiments(max_results=1)
    return folder / "empty.db"


def make_database(path: Path) -> None:
    """A database of MLflow with its tables: making them takes seconds, copying them none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_empty_database(), path)


@contextmanager
def server(folder: Path, port: int) -> Iterator[None]:
    """A real MLflow server on loopback that answers, for as long as the block lasts."""
    if not (folder / "server.db").exists():
        make_database(folder / "server.db")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db"]
    command += ["--artifacts-destination", f"{folder}/artifacts"]
    with (folder / "server.log").open("ab") as log:
        process = psutil.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=folder)
    try:
        deadline = time.monotonic() + 150
        while not answers(port):
            assert process.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.1)
        yield
    finally:
        for child in process.children(recursive=True):
            child.kill()
        process.kill()
        process.wait()
