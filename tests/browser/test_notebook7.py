"""nbpipe in Notebook 7: what it has there, and that what it has not is missed by nobody. Part of `make test-matrix`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from lab import Lab, running_lab

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(find_spec("notebook") is None, reason="Notebook 7 is in the environments of make test-matrix"),
]
FLOW = ("%load_ext nbpipe", "%%stage load\nx = [1, 2, 3]", "%%stage train --metrics acc\nacc = len(x) / 3")


@pytest.fixture(scope="module")
def notebook(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Notebook 7, on a project with one notebook."""
    assert browser
    root = tmp_path_factory.mktemp("notebook7")
    given = {"NBPIPE_TRACKING": "off", "XDG_CONFIG_HOME": str(root / "own"), "XDG_CACHE_HOME": str(root / "cache")}
    with running_lab(root, given, app="notebook") as running:
        (running.folder / "nbpipe.toml").touch()
        running.write("flow.ipynb", *FLOW)
        yield running


def test_a_notebook_is_tagged_run_and_its_runs_are_in_the_panel(notebook: Lab, page: Any) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.goto(f"{notebook.url}/notebooks/flow.ipynb?token=tests")
    badges = page.locator(".nbp-CellBadge")
    badges.nth(1).wait_for(timeout=60_000)
    page.locator(".jp-Notebook .jp-Cell").nth(2).click()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Alt+m")
    page.get_by_role("menuitem", name="Rename Stage").click()
    page.locator(".jp-Dialog input").fill("fit")
    page.get_by_role("button", name="Rename", exact=True).click()
    badges.nth(1).get_by_text("fit").wait_for()
    page.keyboard.press("Control+Alt+Enter")
    page.keyboard.press("Control+Alt+p")
    panel = page.locator("#nbpipe-panel")
    panel.locator("tr[data-run=r1] .nbp-status-succeeded").wait_for(timeout=60_000)
    panel.locator(".nbp-graph [data-stage=fit]").first.wait_for()
    badges.nth(1).get_by_text("✓").wait_for()
    assert [line for line in said if "nbpipe" in line.lower()] == []
