"""A model is registered by a run that succeeded; a check compares the next one with the champion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tracked import make_database, nbpipe, runs, wait_until_delivered, write

from nbpipe.tracking.mlflow import client
from nbpipe.tracking.registry import set_alias

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CELLS = (
    "%%params\nacc: float = 0.9",
    "%%stage train --metrics score\nscore = acc\nnet = {'weights': [acc]}",
    '%%check good --metric "score >= champion.score - 0.01"\nassert score > 0.1',
    "%%stage publish --model net --register shop\nopen('published', 'a').write('x')",
)


@pytest.mark.long
def test_a_worse_model_than_the_champion_is_rejected_and_nothing_after_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    make_database(tmp_path / ".nbpipe" / "mlflow.db")
    write(tmp_path, "n.ipynb", *CELLS)
    code, told = nbpipe(tmp_path, "run", "n.ipynb")
    assert code == 0
    assert any("no champion yet" in text for text in told["warnings"])
    wait_until_delivered(tmp_path)
    mlflow = client(tmp_path)
    (version,) = mlflow.search_model_versions("name = 'shop'")
    shown = runs(mlflow, "n.ipynb")
    assert version.run_id == shown["r1"].info.run_id
    assert version.tags["nbpipe.stage"] == "publish"
    assert shown["r1"].data.tags["nbpipe.model.shop"] == str(version.version) == "1"
    set_alias(tmp_path, "shop", 1, "champion")

    code, told = nbpipe(tmp_path, "run", "n.ipynb", "-p", "acc=0.5")
    assert (code, told["status"]) == (8, "rejected")
    assert [stage["status"] for stage in told["stages"]] == ["succeeded", "rejected", "skipped"]
    assert "champion.score" in told["error"]["message"]
    assert "0.5" in told["error"]["message"]
    assert (tmp_path / "published").read_text() == "x"

    assert nbpipe(tmp_path, "run", "n.ipynb", "-p", "acc=0.95")[0] == 0
    wait_until_delivered(tmp_path)
    found = mlflow.search_model_versions("name = 'shop'")
    assert sorted(str(item.version) for item in found) == ["1", "2"]
    shown = runs(mlflow, "n.ipynb")
    assert shown["r2"].info.status == "FAILED"
    assert "r2/publish" not in shown

    set_alias(tmp_path, "shop", 2, "champion")
    code, told = nbpipe(tmp_path, "run", "n.ipynb")
    assert (code, told["status"]) == (8, "rejected"), "a new champion: the same model must pass the gate anew"


def test_a_threshold_on_a_champion_that_no_stage_registers_is_an_error_before_anything_runs(tmp_path: Path) -> None:
    write(tmp_path, "n.ipynb", *CELLS[:3])
    for command in ("plan", "run"):
        code, told = nbpipe(tmp_path, command, "n.ipynb", NBPIPE_TRACKING="off")
        assert code == 3
        assert "no stage registers a model" in json.dumps(told)
