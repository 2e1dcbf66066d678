"""Runs reach MLflow whole and once, whatever dies on the way."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tracked import files, free_port, make_database, server

from nbpipe.model import Artifact, Code, Event, FileState, Options, Outcome, Pipeline, Stage, StageFlow
from nbpipe.store import open_store
from nbpipe.tracking import outbox
from nbpipe.tracking.deliver import deliver, deliver_pending
from nbpipe.tracking.mlflow import client
from nbpipe.tracking.notes import SCHEDULED, Scheduled
from nbpipe.tracking.registry import champion_metrics, set_alias
from nbpipe.tracking.spool import stage_environment

# MLflow itself uses what its libraries call deprecated; a test of ours can do nothing about it.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PIXEL = base64.b64encode(b"\x89PNG not really").decode()


@pytest.fixture(autouse=True)
def _no_mlflow_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "NBPIPE_STORE", "NBPIPE_TRACKING"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _tables_are_made(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if "no_database" not in request.fixturenames:
        for path in (".nbpipe/mlflow.db", "server.db", "shared.db"):
            make_database(tmp_path / path)


@pytest.fixture
def no_database() -> None:
    """The test starts before any delivery."""


def make_run(project: Path, number: int = 1, *, acc: float = 0.5, status: str = "succeeded", points: int = 2) -> Path:
    """The folder of a run with a stage that trained and one that was reused, as the engine leaves it."""
    run = project / ".nbpipe" / "runs" / f"r{number}"
    job = run / "jobs" / "train.1"
    job.mkdir(parents=True)
    store = open_store(project / ".nbpipe" / "store")
    blob = store.objects.put_bytes(f"weights {acc}".encode())
    stages = (
        Stage(name="load", kind="stage", cells=(Code(cell=1, body="x = 1"),)),
        Stage(
            name="train",
            kind="stage",
            cells=(Code(cell=2, body="m = fit(x)"),),
            options=Options(model="m", register="shop"),
            flow=StageFlow(params=("lr",)),
        ),
    )
    (run / "bundle").mkdir()
    (run / "bundle" / "pipeline.json").write_bytes(
        msgspec.json.encode(Pipeline(name="shop", version="v", stages=stages))
    )
    fields = {"id": f"r{number}", "notebook": "shop.ipynb", "name": "shop", "version": "abc", "number": 3}
    fields |= {"params": {"lr": 0.1, "unused": [1, 2]}, "status": status, "created": 1000.0 + number, "ended": 1010.0}
    (run / "run.json").write_text(json.dumps(fields))
    (run / "environment.json").write_text(json.dumps({"user": "ada", "git": {"commit": "c0ffee", "branch": "main"}}))
    output = {"output_type": "display_data", "data": {"image/png": PIXEL}, "metadata": {}}
    cell = {
        "cell_type": "code",
        "source": "plot()",
        "outputs": [output],
        "execution_count": 1,
        "metadata": {},
        "id": "a",
    }
    (run / "shop.ipynb").write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    events: list[tuple[str, str, int, dict[str, Any]]] = [
        ("run-started", "", 0, {}),
        ("stage-cached", "load", 0, {"source": "r0", "metrics": {"rows": 10.0}}),
        ("stage-started", "train", 1, {"reasons": ["`lr` 0.01 → 0.1"]}),
        ("stage-succeeded", "train", 1, {"metrics": {"acc": acc}, "continued": ["train"]}),
        ("run-finished", "", 0, {"status": status}),
    ]
    lines = [
        msgspec.json.encode(Event(seq=n, time=1000.0 + n, kind=kind, stage=stage, attempt=attempt, data=data))
        for n, (kind, stage, attempt, data) in enumerate(events, start=1)
    ]
    (run / "journal.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    (job / "log.jsonl").write_text("{}\n")
    outcome = Outcome(
        stage="train",
        attempt=1,
        token="",
        status="succeeded",
        metrics={"acc": acc},
        outputs={"m": Artifact(digest=f"d{acc}", format="pickle", objects=(blob,), size=7)},
        files_read=(FileState(path="data/in.csv", digest="f" * 64, size=12), FileState(path="gone.csv", digest="")),
        logged={"../../escape.txt": blob, "notes/kept.txt": blob},
    )
    (job / "verdict.json").write_bytes(msgspec.json.encode(outcome))
    stage_environment(job)
    (metrics,) = (job / "mlflow").glob("*/*/metrics")
    (metrics / "loss").write_text("".join(f"{1000 + n} {1 / (n + 1)} {n}\n" for n in range(points)))
    (metrics.parent / "artifacts" / "plots").mkdir()
    (metrics.parent / "artifacts" / "plots" / "roc.txt").write_text("roc")
    return run


def everything(mlflow: Any) -> dict[str, Any]:
    """All that MLflow shows, without the ids it made up."""
    found: dict[str, Any] = {}
    for experiment in mlflow.search_experiments(filter_string="name = 'shop.ipynb'"):
        for run in mlflow.search_runs([experiment.experiment_id]):
            name = run.info.run_name
            assert name not in found, f"{name} is there twice"
            history = {
                key: [(p.timestamp, p.step, p.value) for p in mlflow.get_metric_history(run.info.run_id, key)]
                for key in run.data.metrics
            }
            found[name] = {
                "status": run.info.status,
                "params": run.data.params,
                "history": history,
                "inputs": [i.dataset.name for i in run.inputs.dataset_inputs],
                "files": sorted(files(mlflow, run.info.run_id)),
                "tags": {
                    key: text for key, text in run.data.tags.items() if key.startswith(("nbpipe.", "mlflow.source"))
                },
            }
    versions = mlflow.search_model_versions("name = 'shop'")
    found["versions"] = sorted((int(v.version), v.tags["nbpipe.digest"]) for v in versions)
    return found


def test_a_run_is_shown_with_its_stages_and_all_they_made(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    deliver(run, tmp_path)
    shown = everything(client(tmp_path))
    assert set(shown) == {"r1", "r1/load", "r1/train", "versions"}
    parent, cached, train = shown["r1"], shown["r1/load"], shown["r1/train"]
    assert parent["status"] == "FINISHED"
    assert parent["params"] == {"lr": "0.1", "unused": "[1,2]"}
    assert parent["tags"]["nbpipe.kind"] == "run"
    assert parent["tags"]["mlflow.source.git.commit"] == "c0ffee"
    assert {"bundle/pipeline.json", "shop.ipynb", "shop.html", "figures/cell-1-1.png", "environment.json"} <= set(
        parent["files"]
    )
    assert cached["tags"]["nbpipe.cached_from"] == "r0"
    assert cached["history"] == {"rows": [(1002000, 0, 10.0)]}
    assert train["params"] == {"lr": "0.1"}
    assert train["tags"]["nbpipe.continued"] == "train"
    assert "nbpipe.continued" not in cached["tags"]
    assert train["tags"]["nbpipe.reason"] == "`lr` 0.01 → 0.1"
    assert train["history"]["loss"] == [(1000, 0, 1.0), (1001, 1, 0.5)]
    assert train["inputs"] == ["data/in.csv"]
    assert train["files"] == ["log.jsonl", "notes/kept.txt", "plots/roc.txt"]


def test_delivering_again_changes_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    deliver(run, tmp_path)
    before = everything(client(tmp_path))
    deliver(run, tmp_path)
    assert everything(client(tmp_path)) == before


def test_a_model_is_one_version_per_value_and_only_of_runs_that_succeeded(tmp_path: Path) -> None:
    deliver(make_run(tmp_path, 1, acc=0.5), tmp_path)
    deliver(make_run(tmp_path, 2, acc=0.5), tmp_path)
    deliver(make_run(tmp_path, 3, acc=0.6), tmp_path)
    deliver(make_run(tmp_path, 4, acc=0.9, status="rejected"), tmp_path)
    shown = everything(client(tmp_path))
    assert shown["versions"] == [(1, "d0.5"), (2, "d0.6")]
    assert shown["r2"]["tags"]["nbpipe.model.shop"] == "1"
    assert shown["r4"]["status"] == "FAILED"


def test_the_champion_is_the_version_with_the_alias(tmp_path: Path, no_database: None) -> None:
    assert champion_metrics(tmp_path, "shop") == {}
    deliver(make_run(tmp_path, 1, acc=0.5), tmp_path)
    deliver(make_run(tmp_path, 2, acc=0.7), tmp_path)
    assert champion_metrics(tmp_path, "shop") == {}
    set_alias(tmp_path, "shop", 2, "champion")
    assert champion_metrics(tmp_path, "shop") == {"acc": 0.7, "rows": 10.0}
    set_alias(tmp_path, "shop", 1, "champion")
    assert champion_metrics(tmp_path, "shop")["acc"] == 0.5


def test_a_run_that_cannot_be_read_does_not_hold_up_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = make_run(tmp_path, 1), make_run(tmp_path, 2)
    (bad / "run.json").write_text("{")
    outbox.enqueue(bad)
    outbox.enqueue(good)
    assert not deliver_pending(tmp_path, patience=0)
    assert outbox.pending(tmp_path) == [bad]
    assert "r1" in capsys.readouterr().out


def test_a_project_that_moves_takes_its_artifacts_along(tmp_path: Path, no_database: None) -> None:
    old, new = tmp_path / "old one", tmp_path / "new one"
    make_database(old / ".nbpipe" / "mlflow.db")
    deliver(make_run(old, 1), old)
    old.rename(new)
    shown, _, _ = deliver(make_run(new, 2), new)
    assert not old.exists()
    runs = shown.client.search_runs([shown.experiment], "")
    assert {run.info.run_name for run in runs} == {"r1", "r1/load", "r1/train", "r2", "r2/load", "r2/train"}
    root = (new / ".nbpipe" / "mlartifacts").as_uri()
    assert all(run.info.artifact_uri.startswith(f"{root}/") for run in runs)
    first = next(run for run in runs if run.info.run_name == "r1")
    assert "bundle" in {item.path for item in shown.client.list_artifacts(first.info.run_id)}
    versions = shown.client.search_model_versions("name = 'shop'")
    assert all(version.source.startswith(f"{root}/") for version in versions)
    assert versions


def test_a_second_project_with_the_same_notebook_has_its_own_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/shared.db")
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        deliver(make_run(tmp_path / name), tmp_path / name)
    mlflow = client(tmp_path)
    (experiment,) = mlflow.search_experiments(filter_string="name = 'shop.ipynb'")
    assert len(mlflow.search_runs([experiment.experiment_id], "tags.`nbpipe.kind` = 'run'")) == 2


def test_what_a_worker_delivered_before_it_was_killed_is_the_run_of_the_one_that_comes_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/shared.db")
    monkeypatch.chdir(tmp_path)
    for name, ends in (("one", "a"), ("two", "a"), ("three", "b")):
        run = make_run(tmp_path / name)
        (run / SCHEDULED).write_bytes(msgspec.json.encode(Scheduled(ends=ends)))
        deliver(run, tmp_path / name)
    mlflow = client(tmp_path)
    (experiment,) = mlflow.search_experiments(filter_string="name = 'shop.ipynb'")
    for kind, wanted in (("run", ["a", "b"]), ("stage", ["a", "a", "b", "b"])):
        found = mlflow.search_runs([experiment.experiment_id], f"tags.`nbpipe.kind` = '{kind}'")
        assert sorted(run.data.tags["nbpipe.scheduled"] for run in found) == wanted


def test_nothing_starts_while_tracking_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_database: None
) -> None:
    monkeypatch.setenv("NBPIPE_TRACKING", "off")
    run = make_run(tmp_path)
    outbox.enqueue(run)
    outbox.flush(tmp_path, wait=True)
    assert outbox.pending(tmp_path) == [run]
    assert not (tmp_path / ".nbpipe" / "mlflow.db").exists()


def test_a_relative_place_begins_where_the_command_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, here = tmp_path / "project", tmp_path / "project" / "notebooks"
    make_database(here / "mine.db")
    outbox.enqueue(make_run(project))
    monkeypatch.chdir(here)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mine.db")
    outbox.flush(project, wait=True)
    assert outbox.pending(project) == []
    assert not (project / "mine.db").exists()
    assert _rows(project, here / "mine.db") > 0


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("sqlite:///a.db", "sqlite:///{here}/a.db"),
        ("sqlite:////a.db", "sqlite:////a.db"),
        ("./runs", "file://{here}/runs"),
        ("file:runs", "file://{here}/runs"),
        ("file:///runs", "file:///runs"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("databricks", "databricks"),
    ],
)
def test_only_what_is_a_path_from_here_is_made_absolute(
    given: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    assert outbox.places_from_here() == {"MLFLOW_TRACKING_URI": meant.format(here=tmp_path)}


def test_why_a_delivery_failed_is_known_until_one_succeeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outbox.why_not(tmp_path) == ""
    box = outbox.enqueue(make_run(tmp_path)).parent
    (box / outbox.LOG).write_text("2026-11-22T10:00:00+0000 r1: MlflowException: no such place\n[SQL: more of it]\n")
    assert outbox.why_not(tmp_path) == ""
    (box / outbox.FAILED).touch()
    assert outbox.why_not(tmp_path) == "r1: MlflowException: no such place"


def test_pending_runs_come_in_the_order_they_were_made(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        (tmp_path / ".nbpipe" / "runs" / f"r{number}").mkdir(parents=True)
        outbox.enqueue(tmp_path / ".nbpipe" / "runs" / f"r{number}")
    assert [run.name for run in outbox.pending(tmp_path)] == ["r1", "r2", "r10"]


@pytest.mark.long
def test_a_disk_that_fills_while_tables_are_made_leaves_no_half_of_them(tmp_path: Path, no_database: None) -> None:
    ask = f"from pathlib import Path; from nbpipe.tracking.mlflow import client; client(Path({str(tmp_path)!r}))"
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY)); "
    first = subprocess.run(
        [sys.executable, "-c", f"{limit}{ask}.search_experiments()"], capture_output=True, check=False
    )
    assert first.returncode
    again = subprocess.run([sys.executable, "-c", f"{ask}.search_experiments()"], capture_output=True, check=False)
    assert again.returncode == 0, again.stderr
    assert [path.name for path in (tmp_path / ".nbpipe").iterdir()] == ["mlflow.db"]


@pytest.mark.long
def test_delivery_killed_anywhere_and_repeated_leaves_nothing_twice(tmp_path: Path) -> None:
    outbox.enqueue(make_run(tmp_path, points=1200))
    command = [sys.executable, "-m", "nbpipe.tracking.deliver", str(tmp_path)]
    killed = 0
    for after in (1, 9, 14):
        process = subprocess.Popen(command, cwd=tmp_path)
        while process.poll() is None and _rows(tmp_path) < after:
            time.sleep(0.005)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
    assert killed >= 2
    outbox.flush(tmp_path, wait=True)
    assert outbox.pending(tmp_path) == []
    shown = everything(client(tmp_path))
    assert set(shown) == {"r1", "r1/load", "r1/train", "versions"}
    assert len(shown["r1/train"]["history"]["loss"]) == 1200
    assert shown["versions"] == [(1, "d0.5")]
    assert shown["r1/train"]["inputs"] == ["data/in.csv"]


def _rows(project: Path, database: Path | None = None) -> int:
    """A measure of how far a delivery is."""
    import sqlite3

    database = database or project / ".nbpipe" / "mlflow.db"
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=0.1) as connection:
            return int(
                connection.execute("SELECT (SELECT count(*) FROM tags) + (SELECT count(*) FROM params)").fetchone()[0]
            )
    except sqlite3.Error:
        return 0


@pytest.mark.long
def test_a_server_that_was_down_gets_everything_once_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    project = tmp_path / "project"
    for number in (1, 2):
        outbox.enqueue(make_run(project, number, acc=number / 10))
    assert not deliver_pending(project, patience=0)
    assert len(outbox.pending(project)) == 2
    started = time.monotonic()
    outbox.flush(project)
    assert time.monotonic() - started < 10
    with server(tmp_path, port):
        deadline = time.monotonic() + 150
        while outbox.pending(project) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert outbox.pending(project) == []
        shown = everything(client(project))
        assert {"r1", "r1/load", "r1/train", "r2", "r2/load", "r2/train", "versions"} == set(shown)
        assert len(shown["r1/train"]["history"]["loss"]) == 2
        set_alias(project, "shop", 2, "champion")
        assert champion_metrics(project, "shop") == {"acc": 0.2, "rows": 10.0}
