"""Runs that are on, and what they leave, in a real JupyterLab."""

from __future__ import annotations

from typing import Any

import pytest
from lab import Lab

pytestmark = pytest.mark.timeout(180)

FLOW = (
    "%load_ext nbpipe\nimport nbpipe",
    "%%params\nlr: float = 0.1",
    "%%stage load\nimport time\nx = [1, 2, 3]\nprint('loaded')",
    "%%stage train --metrics acc\ntime.sleep(1.5 * len(x) / 3)\nacc = 0.5 + lr\nprint(f'acc {acc:.2f}')",
)


def test_a_run_is_seen_while_it_goes_on_and_its_difference_afterwards(lab: Lab, page: Any) -> None:
    (lab.folder / "flow").mkdir()
    (lab.folder / "flow" / "nbpipe.toml").touch()
    lab.write(
        "flow/flow.ipynb", *FLOW, "nbpipe.history()", "%nbpipe run", "%nbpipe run -p lr=0.2", "%nbpipe diff r1 r2"
    )
    lab.open(page, "flow/flow.ipynb")
    lab.run_all(page)
    first = page.locator(".nbp-progress").first
    first.locator("tr[data-stage=train] .nbp-status-running").wait_for(timeout=60_000)
    # The kernel is busy with the run, and the table of the cell above hears of it all the same.
    page.locator(".nbp-history tr[data-run=r1] .nbp-status-running").wait_for()
    first.locator("header .nbp-status-succeeded").wait_for()
    assert "acc 0.6" in first.inner_text()
    second = page.locator(".nbp-progress").nth(1)
    second.locator("header .nbp-status-succeeded").wait_for(timeout=60_000)
    assert "from r1" in second.locator("tr[data-stage=load]").inner_text()
    page.locator(".nbp-history tr[data-run=r2] .nbp-status-succeeded").wait_for()

    page.locator(".nbp-diff").get_by_role("tab", name="Params").wait_for()
    page.locator(".nbp-diff").get_by_role("tab", name="Metrics").click()
    assert "▲ 0.1" in page.locator(".nbp-part").inner_text()
    page.locator(".nbp-diff").get_by_role("tab", name="Outputs").click()
    page.locator(".nbp-part .nbp-plus").wait_for()
    assert page.locator(".nbp-part .nbp-code").all_inner_texts() == ["−acc 0.60\n", "+acc 0.70\n"]
