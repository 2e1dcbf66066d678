"""What MLflow's own integrations log lands in the spool of the job."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nbpipe.tracking.spool import read_spool, stage_environment

CODE = """
import mlflow
from sklearn.linear_model import LinearRegression
mlflow.sklearn.autolog(log_input_examples=False, log_model_signatures=False)
model = LinearRegression().fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
mlflow.sklearn.autolog(disable=True)
mlflow.sklearn.log_model(model, name="line", pip_requirements=[])
"""


@pytest.mark.long
def test_autolog_and_log_model_land_in_the_spool(tmp_path: Path) -> None:
    env = os.environ | stage_environment(tmp_path)
    subprocess.run([sys.executable, "-c", CODE], check=True, env=env, capture_output=True, cwd=tmp_path)
    found = read_spool(tmp_path)
    assert found.params["fit_intercept"] == "True"
    assert found.metrics["training_mean_squared_error"] < 1e-9
    assert "models/line/MLmodel" in found.files
    assert not any(".." in name for name in found.files)
