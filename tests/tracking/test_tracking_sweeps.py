"""What MLflow shows of a sweep with default settings, and the best trial's model as champion."""

from __future__ import annotations

from pathlib import Path

import pytest
from tracked import nbpipe, runs, wait_until_delivered, write

from nbpipe.tracking.mlflow import client

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.long]

TRAIN = "%%stage train --metrics acc --model net --register digits\nnet = {'lr': lr}\nacc = 1 - abs(lr - 0.5)"

_BEST = ("--promote-best", "champion")


def test_a_sweep_is_one_study_and_its_best_model_the_champion(tmp_path: Path) -> None:
    write(tmp_path, "n.ipynb", "%%params\nlr: float = 0.1", TRAIN)
    words = ("sweep", "n.ipynb", "-p", "lr=0.1,0.4,0.9", "--metric", "acc:max", "--study", "mine")
    code, told = nbpipe(tmp_path, *words, *_BEST)
    assert code == 0, told
    wait_until_delivered(tmp_path)
    mlflow = client(tmp_path)
    shown = runs(mlflow, "n.ipynb")
    above = shown["sweep mine"].info.run_id
    trials = {name: run for name, run in shown.items() if run.data.tags.get("mlflow.parentRunId") == above}
    assert {run.data.params["lr"] for run in trials.values()} == {"0.1", "0.4", "0.9"}
    assert {run.data.tags["sweep"] for run in trials.values()} == {"mine"}
    best = mlflow.get_model_version_by_alias("digits", "champion")
    assert told["promoted"] == ["digits", str(best.version)]
    assert best.tags["nbpipe.run_id"] == told["best"][0]["run"] == "r2"
    code, told = nbpipe(tmp_path, *words[:2], "-p", "lr=0.5,0.1", "--metric", "acc:max", "--where", "acc > 2", *_BEST)
    assert (code, told["promoted"]) == (8, None)
    again = mlflow.get_model_version_by_alias("digits", "champion")
    assert again.version == best.version, "none met the condition"
