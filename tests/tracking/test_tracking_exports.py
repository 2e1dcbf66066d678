"""Runs of an export are in MLflow as those of `nbpipe run` are, and their models are registered; in a pod without a project, too."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tracked import environment, free_port, make_database, nbpipe, runs, server, wait_until_delivered, write

from nbpipe.tracking.mlflow import client

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")]

CELLS = (
    "%%params\nacc: float = 0.9",
    "%%stage train --metrics score\nscore = acc\nnet = {'weights': [acc]}",
    "%%check good\nassert score > 0.1",
    "%%stage publish --model net --register shop\nname = 'shop'",
)


def stages(folder: Path, cwd: Path, *words: str, **more: str) -> None:
    """What the tasks of a scheduler start, one after the other."""
    for what in ("train", "good", "publish", "--finish"):
        done = task(folder, cwd, what, *words, **more)
        assert done.returncode == 0, done.stdout + done.stderr


def task(folder: Path, cwd: Path, what: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """One of them."""
    command = [sys.executable, "-m", "nbpipe.stage", str(folder), what, "--run", "a", "--param", "acc=0.8", *words]
    return subprocess.run(command, cwd=cwd, env=environment(cwd, **more), capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    made = tmp_path / "project"
    made.mkdir()
    write(made, "n.ipynb", *CELLS)
    return made


def test_a_run_beside_its_project_is_in_the_project_s_mlflow(project: Path) -> None:
    make_database(project / ".nbpipe" / "mlflow.db")
    assert nbpipe(project, "export", "n.ipynb", "--to", "snakemake")[0] == 0
    stages(project / "exports" / "n-snakemake", project)
    wait_until_delivered(project)
    mlflow = client(project)
    shown = runs(mlflow, "n.ipynb")
    assert sorted(shown) == ["r1", "r1/good", "r1/publish", "r1/train"]
    assert (shown["r1"].info.status, shown["r1"].data.params["acc"]) == ("FINISHED", "0.8")
    assert shown["r1/train"].data.metrics["score"] == 0.8
    (version,) = mlflow.search_model_versions("name = 'shop'")
    assert (version.run_id, version.tags["nbpipe.stage"]) == (shown["r1"].info.run_id, "publish")


def test_a_run_in_pods_that_know_no_project_is_on_the_server_that_their_environment_names(
    project: Path, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    store = (tmp_path / "store").as_uri()
    words = ("--to", "argo", "--image", "python:3", "--store", store)
    assert nbpipe(project, "export", "n.ipynb", *words)[0] == 0
    # What an image holds, and nothing else.
    shutil.copytree(project / "exports" / "n-argo", tmp_path / "image" / "nbpipe")
    shutil.rmtree(project)
    port = free_port()
    with server(tmp_path, port):
        uri = f"http://127.0.0.1:{port}"
        key = {"NBPIPE_STORE_KEY": "a key for the tests only", "MLFLOW_TRACKING_URI": uri}
        image = tmp_path / "image"
        for what in ("train", "good", "publish"):
            assert task(image / "nbpipe", image, what, "--store", store, **key).returncode == 0
        # The pod is killed once all is delivered, and before it could note that.
        killed = {**key, "NBPIPE_FAULT": "recorded.before_mark:1"}
        assert task(image / "nbpipe", image, "--finish", "--store", store, **killed).returncode == -9
        stages(image / "nbpipe", image, "--store", store, **key)
        mlflow = MlflowClient(tracking_uri=uri)
        shown = runs(mlflow, "n.ipynb")
        (whole,) = (run for name, run in shown.items() if "/" not in name)
        assert (whole.info.status, whole.data.params["acc"], len(shown)) == ("FINISHED", "0.8", 4)
        (version,) = mlflow.search_model_versions("name = 'shop'")
        assert version.run_id == whole.info.run_id


def test_a_package_of_plain_python_registers_its_model_where_mlflow_is_named(project: Path, tmp_path: Path) -> None:
    train = (
        "from sklearn.linear_model import LinearRegression\nnet = LinearRegression().fit([[0.0], [1.0]], [0.0, acc])"
    )
    write(project, "n.ipynb", CELLS[0], f"%%stage train --model net --register shop\n{train}")
    code, told = nbpipe(project, "export", "n.ipynb", "--to", "script")
    assert code == 0, told
    make_database(tmp_path / "server.db")
    uri = f"sqlite:///{tmp_path}/server.db"
    command = [sys.executable, "-m", "n_pipeline", "--acc", "0.5"]
    for more in ({}, {"MLFLOW_TRACKING_URI": uri}):
        cwd = project / "exports" / "n-script"
        done = subprocess.run(
            command, cwd=cwd, env=environment(project, **more), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert ("shop is not registered" in done.stderr) == (not more)
    from mlflow import MlflowClient

    (version,) = MlflowClient(tracking_uri=uri).search_model_versions("name = 'shop'")
    assert version.version in (1, "1")
