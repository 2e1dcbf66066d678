"""Real runs against a real MLflow server that is down at first, and deliveries that are killed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tracked import deliverers, free_port, make_database, nbpipe, runs, server, wait_until_delivered, write

from nbpipe.tracking import outbox
from nbpipe.tracking.mlflow import client

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

LOGS = "%%stage one --metrics acc\nimport mlflow\nacc = float('0.5')\nmlflow.log_metric('loss', 1.0, step=4)"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


@pytest.mark.long
def test_a_server_that_is_down_costs_no_run_and_gets_each_once_although_deliveries_die(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    write(project, "n.ipynb", LOGS, "%%stage two\nprint(acc)")
    code, told = nbpipe(project, "run", "n.ipynb", MLFLOW_TRACKING_URI=uri)
    assert (code, told["status"]) == (0, "succeeded")
    assert told["stages"][0]["metrics"] == {"acc": 0.5, "loss": 1.0}
    for process in deliverers(project):
        process.kill()
        process.wait()
    assert [run.name for run in outbox.pending(project)] == ["r1"]

    with server(tmp_path, port):
        nbpipe(project, "history", MLFLOW_TRACKING_URI=uri)
        seen = client(project)
        deadline = time.monotonic() + 150
        while seen.get_experiment_by_name("n.ipynb") is None and time.monotonic() < deadline:
            time.sleep(0.02)
        for process in deliverers(project):
            process.kill()
            process.wait()
        assert [run.name for run in outbox.pending(project)] == ["r1"], "it was killed in the middle"

        code, told = nbpipe(project, "run", "n.ipynb", MLFLOW_TRACKING_URI=uri)
        assert (code, told["status"]) == (0, "up-to-date")
        wait_until_delivered(project)
        shown = runs(seen, "n.ipynb")
        assert set(shown) == {"r1", "r1/one", "r1/two"}
        (point,) = seen.get_metric_history(shown["r1/one"].info.run_id, "loss")
        assert (point.value, point.step) == (1.0, 4)
    assert not (project / ".nbpipe" / "mlflow.db").exists()


@pytest.mark.long
def test_a_run_whose_process_was_killed_is_shown_as_killed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    make_database(project / ".nbpipe" / "mlflow.db")
    write(project, "n.ipynb", LOGS, "%%stage two\nprint(acc)")
    killed, _ = nbpipe(project, "run", "n.ipynb", NBPIPE_FAULT="commit.after_event:1")
    assert killed < 0
    unnoted, _ = nbpipe(project, "run", "n.ipynb", NBPIPE_FAULT="finish.after_event:1")
    assert unnoted < 0
    code, told = nbpipe(project, "run", "n.ipynb")
    assert (code, told["run"], {stage["status"] for stage in told["stages"]}) == (0, "r3", {"cached"})
    wait_until_delivered(project)
    shown = runs(client(project), "n.ipynb")
    assert {name: run.info.status for name, run in shown.items()} == {
        "r1": "KILLED",
        "r1/one": "FINISHED",
        "r2": "FINISHED",
        "r2/one": "FINISHED",
        "r2/two": "FINISHED",
        "r3": "FINISHED",
        "r3/one": "FINISHED",
        "r3/two": "FINISHED",
    }


def test_while_tracking_is_off_nothing_is_noted_or_made(project: Path) -> None:
    write(project, "n.ipynb", "%%stage one\nx = 1")
    assert nbpipe(project, "run", "n.ipynb", NBPIPE_TRACKING="off")[0] == 0
    assert outbox.pending(project) == []
    assert not (project / ".nbpipe" / "mlflow.db").exists()
    assert not list(project.glob("mlruns*"))
    assert os.listdir(project / ".nbpipe" / "runs") == ["r1"]  # noqa: PTH208 - one name is all
