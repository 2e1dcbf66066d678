"""Utilisation and memory of GPUs in a stage's MLflow run.

The tool here is pretended: it prints what a driver prints. That a real one does is not shown.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nbpipe.job.gauges import Gauges, readings
from nbpipe.tracking.spool import append, read_curves, read_spool, stage_environment

_TOOL = """#!/bin/sh
echo "$@" > "$0.called"
echo $$ > "$0.pid"
while true; do echo "0, 37, 1000, 2000, 55.5"; echo "1, [N/A], 10, 2000, [Not Supported]"; sleep 0.1; done
"""


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "bin" / "nvidia-smi"
    path.parent.mkdir()
    path.write_text(_TOOL)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    return path


def test_what_the_tool_says_is_read_and_what_it_does_not_know_is_left_out() -> None:
    assert readings("1, 37, 1000, 2000, 55.50\n") == {
        "system/gpu_1_utilization_percentage": 37.0,
        "system/gpu_1_memory_usage_megabytes": 1048.576,
        "system/gpu_1_memory_usage_percentage": 50.0,
        "system/gpu_1_power_usage_watts": 55.5,
    }
    assert list(readings("0, [N/A], 10, 2000, [Not Supported]")) == [
        "system/gpu_0_memory_usage_megabytes",
        "system/gpu_0_memory_usage_percentage",
    ]
    for line in ("", "No devices were found", "../x, 1, 2, 3, 4", "0, 1, 2", "0, nan, inf, 0, -1"):
        assert readings(line) == {}


def test_readings_land_in_the_stages_own_mlflow_run_and_are_no_metrics_of_the_stage(tool: Path, tmp_path: Path) -> None:
    stage_environment(tmp_path)
    gauges = Gauges(lambda values: append(tmp_path, values), visible="0,1")
    until = time.monotonic() + 120
    while len(read_spool(tmp_path).curves.get("system/gpu_0_utilization_percentage", ())) < 2:
        assert time.monotonic() < until
        time.sleep(0.02)
    gauges.close()
    gauges.close()
    found = read_spool(tmp_path)
    assert "--id=0,1" in Path(f"{tool}.called").read_text()
    assert not Path(f"/proc/{Path(f'{tool}.pid').read_text().strip()}").exists()
    points = found.curves["system/gpu_0_utilization_percentage"]
    assert [(point.value, point.step) for point in points[:2]] == [(37.0, 0), (37.0, 1)]
    assert (found.metrics, read_curves(tmp_path)) == ({}, {})


def test_a_job_that_may_see_no_gpu_measures_none(tool: Path, tmp_path: Path) -> None:
    Gauges(lambda values: append(tmp_path, values), visible="").close()
    assert not Path(f"{tool}.called").exists()
