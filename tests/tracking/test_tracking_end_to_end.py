"""What a real `nbpipe run` with default settings shows in MLflow."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tracked import environment, files, nbpipe, runs, wait_until_delivered, write

from nbpipe.history.difference.curves import curves_of_job
from nbpipe.tracking import outbox
from nbpipe.tracking.mlflow import client

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PARAMS = "%%params\nlr: float = 0.1\nepochs: int = 3"
TRAIN = """%%stage train --metrics acc
import mlflow, pandas as pd
from sklearn.linear_model import LinearRegression
mlflow.sklearn.autolog(log_models=False)
df = pd.read_csv("data.csv")
net = LinearRegression().fit(df[["x"]], df["y"])
acc = 0.9
for step in range(epochs):
    mlflow.log_metric("loss", lr / (step + 1), step=step)
mlflow.log_text("hello", "notes/hello.txt")
print("trained")"""
CHECK = '%%check good --metric "acc >= 0.5" --metric "loss < 1"\nassert acc'
PLOT = "%%stage plot\nimport matplotlib.pyplot as plt\nplt.plot([1, acc]);"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six runs: everything new, one cell edited, nothing new, failed, rejected, cancelled."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "data.csv").write_text("x,y\n" + "".join(f"{n},{2 * n + 1}\n" for n in range(20)))
    write(folder, "shop.ipynb", PARAMS, TRAIN, CHECK, PLOT)
    code, told = nbpipe(folder, "run", "shop.ipynb", "-p", "lr=0.3")
    assert (code, told["status"]) == (0, "succeeded"), told
    write(folder, "shop.ipynb", PARAMS, TRAIN, CHECK, PLOT.replace("[1, acc]", "[2, acc]"))
    assert nbpipe(folder, "run", "shop.ipynb", "-p", "lr=0.3")[0] == 0
    write(folder, "bad.ipynb", "%%stage one\nx = 1", "%%stage two\ny = 1 / (x - 1)", "%%stage three\nprint(y)")
    assert nbpipe(folder, "run", "bad.ipynb")[0] == 1
    write(folder, "gate.ipynb", "%%stage one --metrics x\nx = 0.4", '%%check gate --metric "x > 0.5"', "%%stage two\nx")
    code, told = nbpipe(folder, "run", "gate.ipynb")
    assert (code, told["status"]) == (8, "rejected")
    assert [stage["status"] for stage in told["stages"]] == ["succeeded", "rejected", "skipped"]
    cancel(folder)
    wait_until_delivered(folder)
    return folder


def cancel(folder: Path) -> None:
    book = write(folder, "slow.ipynb", "%%stage one\nimport time; open('begun', 'w').close(); time.sleep(600)")
    command = [sys.executable, "-m", "nbpipe", "run", str(book)]
    process = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (folder / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130


@pytest.fixture(scope="module")
def mlflow(project: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
            patch.delenv(name, raising=False)
        yield client(project)


def test_a_notebook_is_an_experiment_a_run_its_parent_and_stages_are_children(mlflow: Any) -> None:
    found = runs(mlflow, "shop.ipynb")
    assert set(found) == {"r1", "r1/train", "r1/good", "r1/plot", "r2", "r2/train", "r2/good", "r2/plot"}
    for name, run in found.items():
        assert run.info.status == "FINISHED"
        parent = run.data.tags.get("mlflow.parentRunId")
        assert parent == (found[name.split("/")[0]].info.run_id if "/" in name else None)
    assert found["r1/good"].data.tags["nbpipe.kind"] == "check"


def test_parameters_are_all_that_the_run_used_and_per_stage_what_it_reaches(mlflow: Any) -> None:
    found = runs(mlflow, "shop.ipynb")
    assert found["r1"].data.params == {"lr": "0.3", "epochs": "3"}
    own = found["r1/train"].data.params
    assert {"lr": "0.3", "epochs": "3"}.items() <= own.items()
    assert own["fit_intercept"] == "True", "what autolog logged is there too"
    assert found["r1/plot"].data.params == {}


def test_metrics_have_their_curves_and_the_parent_shows_their_last_values(mlflow: Any) -> None:
    found = runs(mlflow, "shop.ipynb")
    train = found["r1/train"]
    curve = mlflow.get_metric_history(train.info.run_id, "loss")
    assert [(point.step, round(point.value, 3)) for point in curve] == [(0, 0.3), (1, 0.15), (2, 0.1)]
    assert train.data.metrics["acc"] == 0.9
    assert train.data.metrics["training_r2_score"] == 1.0
    assert found["r1"].data.metrics["acc"] == 0.9
    assert found["r1"].data.metrics["loss"] == pytest.approx(0.1)


def test_a_diff_reads_the_curves_of_a_job_that_is_gone(mlflow: Any, project: Path) -> None:
    logged = curves_of_job(project / ".nbpipe" / "runs" / "r1" / "jobs" / "train.1", project, "r1", "train")
    delivered = curves_of_job(None, project, "r1", "train")
    assert delivered["loss"] == logged["loss"] == [(0, 0.3), (1, 0.15), (2, pytest.approx(0.1))]


def test_inputs_are_the_files_read_and_the_datasets_that_autolog_saw(mlflow: Any) -> None:
    train = runs(mlflow, "shop.ipynb")["r1/train"]
    shown = {item.dataset.name: item for item in train.inputs.dataset_inputs}
    assert set(shown) == {"data.csv", "dataset"}
    assert json.loads(shown["data.csv"].dataset.source) == {"uri": "data.csv"}
    assert [tag.value for tag in shown["dataset"].tags] == ["train"]


def test_artifacts_are_bundle_notebook_page_figures_environment_and_logs(mlflow: Any) -> None:
    found = runs(mlflow, "shop.ipynb")
    parent = set(files(mlflow, found["r1"].info.run_id))
    expected = {"bundle/pipeline.json", "bundle/stages/train.ipynb", "environment.json", "shop.ipynb", "shop.html"}
    assert expected <= parent
    assert "figures/cell-4-1.png" in parent
    train = set(files(mlflow, found["r1/train"].info.run_id))
    assert {"log.jsonl", "notes/hello.txt", "estimator.html"} <= train


def test_tags_say_version_reason_and_where_it_ran(mlflow: Any, project: Path) -> None:
    found = runs(mlflow, "shop.ipynb")
    tags = found["r1"].data.tags
    told = json.loads((project / ".nbpipe" / "runs" / "r1" / "run.json").read_text())
    assert tags["nbpipe.version"] == told["version"]
    assert (tags["nbpipe.run_id"], tags["nbpipe.number"], tags["nbpipe.seed"]) == ("r1", "1", "0")
    assert tags["mlflow.source.name"] == "shop.ipynb"
    assert tags["mlflow.user"]
    assert found["r1/train"].data.tags["nbpipe.reason"] == "first run"


def test_a_reused_stage_names_the_run_it_comes_from_and_shows_its_metrics(mlflow: Any) -> None:
    found = runs(mlflow, "shop.ipynb")
    train = found["r2/train"]
    assert train.data.tags["nbpipe.status"] == "cached"
    assert train.data.tags["nbpipe.cached_from"] == "r1"
    assert train.data.metrics["acc"] == 0.9
    assert "notes/hello.txt" in set(files(mlflow, train.info.run_id))
    assert train.data.params["fit_intercept"] == "True", "what cells logged then is shown again"
    assert len(mlflow.get_metric_history(train.info.run_id, "loss")) == 3
    assert found["r2/plot"].data.tags["nbpipe.status"] == "succeeded"


def test_failed_rejected_and_cancelled_runs_are_told_apart(mlflow: Any) -> None:
    bad, gate, slow = (runs(mlflow, f"{name}.ipynb") for name in ("bad", "gate", "slow"))
    assert set(bad) == {"r3", "r3/one", "r3/two"}
    assert {name: run.info.status for name, run in bad.items()} == {
        "r3": "FAILED",
        "r3/one": "FINISHED",
        "r3/two": "FAILED",
    }
    assert "ZeroDivisionError" in bad["r3/two"].data.tags["nbpipe.failure"]
    assert gate["r4"].info.status == "FAILED"
    assert gate["r4"].data.tags["nbpipe.status"] == gate["r4/gate"].data.tags["nbpipe.status"] == "rejected"
    assert gate["r4"].data.metrics["x"] == 0.4
    assert (slow["r5"].info.status, slow["r5/one"].info.status) == ("KILLED", "KILLED")


def test_a_run_with_nothing_to_do_imports_no_mlflow_and_delivers_nothing(project: Path, mlflow: Any) -> None:
    before = set(runs(mlflow, "shop.ipynb"))
    code = (
        "import sys\n"
        "from nbpipe.cli.main import run\n"
        "assert run(['run', 'shop.ipynb', '-p', 'lr=0.3']) == 0\n"
        "heavy = {'mlflow', 'papermill', 'nbformat', 'pandas', 'pyarrow', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=environment(project), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "up to date (r2)\n"
    assert outbox.pending(project) == []
    assert set(runs(mlflow, "shop.ipynb")) == before
