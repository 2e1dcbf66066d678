"""Models are promoted and rolled back with `nbpipe`, and MLflow agrees."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tracked import environment, make_database, nbpipe, write

from nbpipe.tracking.mlflow import client
from nbpipe.tracking.models import Models, Served, open_models

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

CELLS = (
    "%%params\nacc: float = 0.5",
    "%%stage train --metrics score --model net --register shop\nscore = acc\nnet = {'weights': [acc]}\nother = [acc]",
    "%%check good\nassert net['weights'][0] < 0.9 and other",
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs that succeeded and one that was rejected. Nothing of them was delivered."""
    folder = tmp_path_factory.mktemp("promoted")
    make_database(folder / ".nbpipe" / "mlflow.db")
    write(folder, "n.ipynb", *CELLS)
    codes = [
        nbpipe(folder, "run", "n.ipynb", "-p", f"acc={acc}", NBPIPE_TRACKING="off")[0] for acc in (0.1, 0.2, 0.3, 0.95)
    ]
    assert codes == [0, 0, 0, 8]
    return folder


def said(folder: Path, *words: str, code: int = 0) -> dict[str, Any]:
    returned, line = nbpipe(folder, *words)
    assert returned == code, line
    return line


def test_a_champion_comes_and_goes_and_every_move_is_on_record(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    first = said(project, "promote", "r1", "--why", "a start")
    assert (first["model"], first["version"], first["before"], first["run"]) == ("shop", "1", None, "r1")
    second = said(project, "promote", "r2")
    assert (second["version"], second["before"]) == ("2", "1")
    said(project, "promote", "r3")
    again = said(project, "promote", "r3")
    assert (again["version"], again["before"]) == ("3", "3"), "the same value is the same version"

    start = time.monotonic()
    back = said(project, "rollback", "shop", "--why", "worse\x1b[2J")
    took = time.monotonic() - start
    assert (back["version"], back["before"], back["run"], back["how"]) == ("2", "3", "r2", "rollback")
    assert took < 20, "a second on a machine that is not busy"
    assert said(project, "rollback", "shop")["version"] == "1", "further back, not to and fro"
    told = said(project, "rollback", "shop", code=2)
    assert "has named nothing before" in told["error"]["message"]
    assert said(project, "rollback", "shop", "--to", "v3")["version"] == "3"
    assert said(project, "rollback", "shop", "--to", "9", code=2)["error"]["fix"].endswith("1, 2, 3.")

    # MLflow sees what was written beside it, and what it changes itself is seen here.
    mlflow = client(project)
    assert str(mlflow.get_model_version_by_alias("shop", "champion").version) == "3"
    found = mlflow.get_registered_model("shop")
    moves = [json.loads(text) for key, text in sorted(found.tags.items()) if key.startswith("nbpipe.alias.champion.")]
    assert [move["version"] for move in moves] == ["1", "2", "3", "3", "2", "1", "3"]
    assert moves[0]["why"] == "a start"
    mlflow.set_registered_model_alias("shop", "champion", "2")
    assert said(project, "rollback", "shop")["version"] == "3"

    # Both ways to the registry tell the same, and both move the alias.
    embedded, served = open_models(project), Served(project)
    assert embedded.all() == served.all()
    move(served, "1")
    assert embedded.all()[0].aliases == {"champion": "1"}
    assert embedded.all() == served.all()

    done = subprocess.run(
        [sys.executable, "-m", "nbpipe", "models", "shop"],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "version 1  r1  train" in done.stdout
    assert "rolled back  worse" in done.stdout
    assert "\x1b" not in done.stdout


def move(models: Models, version: str) -> None:
    model = models.get("shop")
    assert model is not None
    models.move("shop", type(model.changes[0])(alias="champion", version=version, at=time.time()))


@pytest.mark.long
def test_a_rejected_run_is_promoted_by_force_only(project: Path) -> None:
    told = said(project, "promote", "r4", "--as", "bold", code=2)
    assert "rejected" in told["error"]["message"]
    assert "--force" in told["error"]["fix"]
    assert said(project, "promote", "r4", "--as", "bold", "--force")["alias"] == "bold"


@pytest.mark.long
def test_a_variable_that_the_notebook_does_not_register_is_taken_from_the_store(project: Path) -> None:
    change = said(project, "promote", "r2", "--stage", "train", "--model", "other", "--register", "side")
    assert (change["model"], change["version"]) == ("side", "1")
    (side,) = [model for model in said(project, "models")["models"] if model["name"] == "side"]
    assert side["aliases"] == {"champion": "1"}
    assert side["versions"][0]["run"] == "r2"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("promote", "r9"), "there is no run r9"),
        (("promote", "r1", "--as", "latest"), "cannot be an alias"),
        (("promote", "r1", "--as", "a b"), "cannot be an alias"),
        (("promote", "r1", "--stage", "nope"), "no result of a stage 'nope'"),
        (("promote", "r1", "--stage", "good"), "registers no model"),
        (("promote", "r1", "--model", "nope"), "r1 left no variable 'nope'"),
        (("promote", "r1", "--model", "other", "--register", "a/b"), "cannot be the name of a model"),
        (("rollback", "nope"), "there is no registered model 'nope'"),
        (("models", "nope"), "there is no registered model 'nope'"),
    ],
)
def test_what_cannot_be_promoted_is_an_error_that_says_why(project: Path, words: tuple[str, ...], part: str) -> None:
    told = said(project, *words, code=2)
    assert part in told["error"]["message"]
    assert told["error"]["fix"]


def test_rolling_back_does_not_import_mlflow(project: Path) -> None:
    said(project, "promote", "r1", "--as", "quick")
    said(project, "promote", "r2", "--as", "quick")
    code = (
        "import sys\nfrom nbpipe.cli.main import run\nassert run(['rollback', 'shop', '--as', 'quick', '--json']) == 0\n"
        "assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=project, env=environment(project), capture_output=True, check=True)
