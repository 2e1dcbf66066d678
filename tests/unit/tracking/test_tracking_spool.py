"""What cells log with MLflow lands in the job's folder, in a real process, with no line of ours in the code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from nbpipe.tracking.outbox import enqueue, pending
from nbpipe.tracking.spool import append, cut_back, logged, read_spool, stage_environment

CODE = """
import mlflow
mlflow.log_metric("acc", 0.5, step=0)
mlflow.log_metric("acc", 0.6, step=1)
mlflow.log_param("a", 1)
mlflow.log_text("hi", "notes/f.txt")
mlflow.end_run()
mlflow.set_experiment("mine")
with mlflow.start_run():
    mlflow.log_metric("other", 2)
"""


def test_what_cells_log_is_read_back_whatever_run_they_opened(tmp_path: Path) -> None:
    env = os.environ | stage_environment(tmp_path)
    subprocess.run([sys.executable, "-c", CODE], check=True, env=env, capture_output=True, cwd=tmp_path)
    found = read_spool(tmp_path)
    assert found.metrics == {"acc": 0.6, "other": 2.0}
    assert [point.step for point in found.curves["acc"]] == [0, 1]
    assert found.params == {"a": "1"}
    assert found.files["notes/f.txt"].read_text() == "hi"


#: A cell that fails, and what runs in the same process once it is mended.
AGAIN = """
import mlflow
mlflow.log_metric("acc", 0.5, step=0)
mlflow.log_param("a", 1)
print("stands", flush=True)
input()
mlflow.log_metric("acc", 0.1, step=1)
mlflow.log_metric("typo", 1)
mlflow.log_param("b", 1)
mlflow.log_text("hi", "wrong.txt")
mlflow.set_tag("wrong", "yes")
with mlflow.start_run(nested=True):
    mlflow.log_metric("other", 2)
print("failed", flush=True)
input()
mlflow.log_metric("acc", 0.6, step=1)
mlflow.log_param("b", 2)
mlflow.log_text("hi", "notes/f.txt")
"""


def test_what_is_logged_after_it_was_cut_back_is_all_there_is_of_it(tmp_path: Path) -> None:
    env = os.environ | stage_environment(tmp_path)
    words = [sys.executable, "-c", AGAIN]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True) as cell:
        assert cell.stdin is not None
        assert cell.stdout is not None
        assert cell.stdout.readline() == "stands\n"
        before = logged(tmp_path)
        cell.stdin.write("\n")
        cell.stdin.flush()
        assert cell.stdout.readline() == "failed\n"
        append(tmp_path, {"system/gpu": 1.0})
        assert set(read_spool(tmp_path).metrics) == {"acc", "typo", "other"}
        cut_back(tmp_path, before)
        cell.communicate("\n")
    assert cell.returncode == 0
    found = read_spool(tmp_path)
    assert [(point.step, point.value) for point in found.curves["acc"]] == [(0, 0.5), (1, 0.6)]
    assert set(found.curves) == {"acc", "system/gpu"}
    assert found.params == {"a": "1", "b": "2"}
    assert set(found.files) == {"notes/f.txt"}
    assert "wrong" not in found.tags


def test_a_half_written_last_line_is_not_a_value(tmp_path: Path) -> None:
    stage_environment(tmp_path)
    (path,) = (tmp_path / "mlflow").glob("*/*/metrics")
    (path / "loss").write_text("1 0.5 0\n2 0.")
    assert read_spool(tmp_path).metrics == {"loss": 0.5}


def test_a_run_is_pending_once_however_often_it_is_enqueued(tmp_path: Path) -> None:
    run = tmp_path / ".nbpipe" / "runs" / "r1"
    run.mkdir(parents=True)
    enqueue(run)
    enqueue(run)
    assert pending(tmp_path) == [run]


def test_a_curve_keeps_nan_and_the_last_values_leave_it_out(tmp_path: Path) -> None:
    stage_environment(tmp_path)
    (path,) = (tmp_path / "mlflow").glob("*/*/metrics")
    (path / "loss").write_text("1 0.5 0\n2 nan 1\n")
    found = read_spool(tmp_path)
    assert found.metrics == {}
    assert [str(point.value) for point in found.curves["loss"]] == ["0.5", "nan"]
