"""What the panel says while things break beside it: a run that is killed, a server that ends, an MLflow that is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tracked
from lab import Lab, running_lab, wait_for

from nbpipe.run import record as records
from nbpipe.tracking import outbox

pytestmark = [pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore::DeprecationWarning")]

FLOW = (
    "%%params\nseconds: float = 60.0",
    "%%stage load\nx = [1, 2, 3]",
    "%%stage hold\nimport time\nprint('begun', flush=True)\ntime.sleep(seconds * len(x) / 3)\ny = 1",
)
PANEL = "#nbpipe-panel"
LONG = 120_000


def opened(lab: Lab, page: Any) -> Any:
    lab.open(page, "flow.ipynb")
    page.evaluate("window.jupyterapp.commands.execute('nbpipe:open-panel')")
    panel = page.locator(PANEL)
    panel.locator(".nbp-graph [data-stage=hold]").first.wait_for(timeout=LONG)
    return panel


def run(lab: Lab, *words: str) -> None:
    """From the command line, beside the lab."""
    command = [sys.executable, "-m", "nbpipe", "run", "flow.ipynb", "--quiet", *words]
    subprocess.run(command, cwd=lab.folder, env={**os.environ, **lab.environment}, check=True, capture_output=True)


def given(root: Path) -> dict[str, str]:
    folder = root / "project"
    folder.mkdir()
    (folder / "nbpipe.toml").touch()
    return {"XDG_CONFIG_HOME": str(root / "own"), "XDG_CACHE_HOME": str(root / "cache")}


def test_a_killed_run_and_a_server_that_was_started_again_are_shown_as_they_are(page: Any, tmp_path: Path) -> None:
    environment = {**given(tmp_path), "NBPIPE_TRACKING": "off"}
    with running_lab(tmp_path, environment) as lab:
        lab.write("flow.ipynb", *FLOW)
        panel = opened(lab, page)
        panel.get_by_role("button", name="Run", exact=True).click()
        panel.locator(".nbp-graph [data-stage=hold] .nbp-status-running").first.wait_for(timeout=LONG)
        driver = records.read(lab.folder / ".nbpipe/runs/r1")
        assert driver is not None
        os.kill(driver.pid, signal.SIGKILL)
        panel.locator("tr[data-run=r1] .nbp-status-interrupted").wait_for()
        wait_for(lambda: panel.locator(".nbp-status-running").count() == 0, "nothing is shown as running")
    # The run that begins while nobody serves the page is there as soon as somebody does.
    run(lab, "-p", "seconds=0.1")
    port = int(lab.url.rpartition(":")[2])
    with running_lab(tmp_path, environment, port=port) as lab:
        panel = opened(lab, page)
        panel.locator("tr[data-run=r2] .nbp-status-succeeded").wait_for(timeout=LONG)
        panel.locator("tr[data-run=r1] .nbp-status-interrupted").wait_for()


def test_an_mlflow_that_is_stopped_costs_no_run_and_everything_arrives_once_it_is_back(
    page: Any, tmp_path: Path
) -> None:
    port = tracked.free_port()
    (tmp_path / "mlflow").mkdir()
    environment = {**given(tmp_path), "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    with running_lab(tmp_path, environment) as lab:
        lab.write("flow.ipynb", *FLOW)
        with tracked.server(tmp_path / "mlflow", port):
            run(lab, "-p", "seconds=0.1")
            tracked.wait_until_delivered(lab.folder)
            panel = opened(lab, page)
            panel.locator("tr[data-run=r1] .nbp-status-succeeded").wait_for(timeout=LONG)
        run(lab, "-p", "seconds=0.2")
        panel.locator("tr[data-run=r2] .nbp-status-succeeded").wait_for()
        panel.locator("tr[data-run=r1] .nbp-status-succeeded").wait_for()
        wait_for(lambda: outbox.pending(lab.folder), "the run waits for MLflow")
        wait_for(lambda: outbox.overdue(lab.folder), "delivering r2 fails", 90)
        panel.get_by_role("button", name="Refresh").click()
        panel.get_by_text("not in MLflow yet: r2").wait_for()
        panel.get_by_role("button", name="r2", exact=True).click()
        panel.get_by_text("Details r2", exact=True).wait_for()
        with tracked.server(tmp_path / "mlflow", port):
            run(lab, "-p", "seconds=0.3")
            tracked.wait_until_delivered(lab.folder)
            panel.get_by_role("button", name="Refresh").click()
            panel.get_by_text("not in MLflow yet").wait_for(state="detached")
