"""The sidebar and the tabs of JupyterLab: one notebook, its runs, and everything that can be clicked or typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from lab import Lab, violations

pytestmark = pytest.mark.timeout(240)

FLOW = (
    "%%params\nlr: float = 0.1     # how far a step goes\nsteps: int = 3",
    "%%stage load\nx = [1, 2, 3]\nprint('loaded')",
    """%%stage train --metrics acc
import time
for step in range(steps):
    print('step', step, flush=True)
    time.sleep(0.3)
acc = min(0.5 + lr, 1.0) * len(x) / 3""",
    '%%check good_enough --metric "acc > 0.4"\nassert acc',
)
PANEL = "#nbpipe-panel"
CHOSEN = "path => document.querySelector('#nbpipe-panel select')?.value === path"
COMPARE = "args => void window.jupyterapp.commands.execute('nbpipe:compare-runs', args)"
#: Where the parts of the extension lie.
CHUNKS = "/@nbpipe/labextension/static/"
#: Asks for a comparison as soon as one is in the page, whatever else the lab has to restore.
ASK_EARLY = """(() => {
  let restored = false;
  const watch = new MutationObserver(() => {
    const app = window.jupyterapp;
    app?.restored.then(() => { restored = true; });
    if (app && document.querySelector('.nbp-View')) {
      watch.disconnect();
      void app.commands.execute('nbpipe:compare-runs', %s);
      window.asked = restored ? 'afterwards' : 'before it was restored';
    }
  });
  watch.observe(document, { childList: true, subtree: true });
})()"""


@pytest.fixture(scope="module")
def flow(lab: Lab) -> Lab:
    """A project with a notebook that ran twice."""
    folder = lab.folder / "panel"
    folder.mkdir()
    (folder / "nbpipe.toml").touch()
    lab.write("panel/flow.ipynb", *FLOW)
    for words in ((), ("-p", "lr=0.2")):
        nbpipe(lab, "run", "flow.ipynb", "--quiet", *words).check_returncode()
    return lab


def nbpipe(lab: Lab, *words: str) -> subprocess.CompletedProcess[bytes]:
    """The command line beside the lab: another process, another kernel."""
    command = [sys.executable, "-m", "nbpipe", *words]
    environment = {**os.environ, **lab.environment}
    return subprocess.run(command, cwd=lab.folder / "panel", env=environment, check=False, capture_output=True)


def opened(lab: Lab, page: Any, *, reset: bool = True) -> Any:
    """The panel, with its runs."""
    if reset:
        lab.open(page, "panel/flow.ipynb")
        page.evaluate("window.jupyterapp.commands.execute('nbpipe:open-panel')")
    panel = page.locator(PANEL)
    panel.locator("tr[data-run=r1]").wait_for(timeout=60_000)
    panel.locator(".nbp-graph [data-stage=train]").first.wait_for()
    return panel


def test_a_run_from_the_command_line_and_one_from_the_panel_appear_by_themselves(flow: Lab, page: Any) -> None:
    panel = opened(flow, page)
    panel.get_by_text("up to date (r1)").wait_for()
    page.evaluate(
        """() => {
          new MutationObserver(() => {
            if (!window.seenAt && document.querySelector('#nbpipe-panel tr[data-run=r3]')) {
              window.seenAt = Date.now() / 1000;
            }
          }).observe(document.querySelector('#nbpipe-panel'), { childList: true, subtree: true });
        }"""
    )
    assert nbpipe(flow, "run", "flow.ipynb", "--quiet", "-p", "lr=0.3").returncode == 0
    page.wait_for_function("() => window.seenAt")
    journal = flow.folder / "panel/.nbpipe/runs/r3"
    born = min(path.stat().st_mtime for path in [*journal.iterdir(), journal] if path.is_file() or path == journal)
    print(f"a run of the command line is in the panel after {page.evaluate('window.seenAt') - born:.2f} s")  # noqa: T201 - a figure
    panel.locator("tr[data-run=r3] .nbp-status-succeeded").wait_for()

    panel.get_by_role("button", name="Ways to run").click()
    page.get_by_role("menuitem", name="With parameters…").click()
    form = page.get_by_role("form", name="parameters")
    assert "how far a step goes" in form.inner_text()
    form.get_by_label("lr").fill("much")
    page.keyboard.press("Enter")
    form.get_by_text("a number, such as").wait_for()
    form.get_by_label("lr").fill("0.25")
    page.keyboard.press("Enter")
    panel.locator("tr[data-run=r4] .nbp-status-running").wait_for()
    panel.locator(".nbp-graph [data-stage=train] .nbp-status-running").first.wait_for()
    panel.get_by_text("Details r4", exact=True).wait_for()
    panel.get_by_role("tab", name="Log").click()
    panel.get_by_text("step 1").wait_for()
    panel.locator("tr[data-run=r4] .nbp-status-succeeded").wait_for(timeout=60_000)
    panel.get_by_role("tab", name="Params").click()
    assert "0.25" in panel.locator(".nbp-details").inner_text()


def test_the_graph_leads_to_the_cells_and_edits_are_seen_before_they_are_saved(flow: Lab, page: Any) -> None:
    panel = opened(flow, page)
    panel.locator("[data-stage=good_enough]").first.click()
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget.content.activeCellIndex === 3")
    page.evaluate(
        """() => {
          const { content } = window.jupyterapp.shell.currentWidget;
          content.widgets[2].model.sharedModel.setSource('%%stage fit --metrics acc\\nacc = 0.5 + lr');
        }"""
    )
    panel.locator("[data-stage=fit]").first.wait_for()
    panel.get_by_text("3 stages").or_(panel.get_by_text("2 stages changed")).first.wait_for()
    page.evaluate(
        """() => {
          const { content } = window.jupyterapp.shell.currentWidget;
          content.widgets[2].model.sharedModel.setSource('%%stage fit\\nacc = unknown_name');
        }"""
    )
    panel.get_by_role("alert").get_by_text("unknown_name").first.wait_for()
    panel.get_by_role("alert").get_by_role("button", name="Show the cell").first.click()
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget.content.activeCellIndex === 2")


def test_runs_are_compared_in_a_tab_their_log_read_in_another_and_all_is_there_after_a_reload(
    flow: Lab, page: Any
) -> None:
    fetched: list[str] = []
    page.on("request", lambda asked: fetched.append(asked.url) if CHUNKS in asked.url else None)

    def new_chunks() -> int:
        """Parts of the extension that came since the last question."""
        count = len(fetched)
        fetched.clear()
        return count

    panel = opened(flow, page)
    assert new_chunks() > 0
    panel.locator("tr[data-run=r1]").click(button="right")
    page.get_by_role("menuitem", name="Baseline").click()
    panel.get_by_label("check r1").check()
    panel.get_by_label("check r2").check()
    assert "▲ 0.1" in panel.locator("tr[data-run=r2]").inner_text()
    # The code of each tab comes when it is opened for the first time, and no earlier.
    assert new_chunks() == 0
    panel.get_by_role("button", name="Compare 2").click()
    tab = page.get_by_role("region", name="Compare r1 ↔ r2")
    tab.get_by_role("row", name="lr param").wait_for()
    tab.locator(".nbp-diff").get_by_role("tab", name="Params").wait_for()
    assert new_chunks() > 0
    panel.get_by_role("button", name="r2", exact=True).click()
    panel.get_by_role("button", name="Log", exact=True).click()
    log = page.get_by_role("region", name="Log r2")
    log.get_by_text("step 2").wait_for()
    assert new_chunks() > 0
    # Opened again for a stage, the same tab shows that: it was taken from r1, and printed nothing.
    asked = {"path": "panel/flow.ipynb", "run": "r2", "stage": "load"}
    page.evaluate("args => void window.jupyterapp.commands.execute('nbpipe:open-log', args)", asked)
    log.get_by_text("step 2").wait_for(state="detached")
    log.get_by_role("region", name="log of load").wait_for()
    page.evaluate(
        "args => void window.jupyterapp.commands.execute('nbpipe:open-log', args)", {**asked, "stage": "train"}
    )
    log.get_by_text("step 2").wait_for()
    assert new_chunks() == 0
    panel.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name="Open the pipeline in a tab").click()
    page.get_by_role("region", name="Pipeline flow.ipynb").locator("[data-stage=train]").first.wait_for()
    assert new_chunks() > 0
    # The lab writes its layout down a moment after it changed.
    page.wait_for_timeout(2500)
    page.goto(f"{flow.url}/lab?token=tests")
    panel = opened(flow, page, reset=False)
    for name in ("Compare r1 ↔ r2", "Log r2", "Pipeline flow.ipynb"):
        page.get_by_role("tab", name=name).first.wait_for()
    panel.get_by_text("Details r2", exact=True).wait_for()
    assert panel.get_by_label("check r2").is_checked()
    assert panel.get_by_label("baseline r1").get_attribute("aria-pressed") == "true"
    # Tabs that were restored show what they are asked for from now on.
    page.evaluate("args => void window.jupyterapp.commands.execute('nbpipe:open-log', args)", asked)
    log.get_by_role("region", name="log of load").wait_for()
    page.evaluate(COMPARE, {"path": "panel/flow.ipynb", "runs": ["r2", "now"]})
    page.get_by_role("region", name="Compare r2 ↔ now").locator(".nbp-diff").get_by_role(
        "tab", name="Params"
    ).wait_for()


def test_a_tab_asked_for_while_the_lab_still_restores_its_layout_is_in_front_afterwards(flow: Lab, page: Any) -> None:
    opened(flow, page)
    asked = {"path": "panel/flow.ipynb", "runs": ["r1", "r2"]}
    page.evaluate(COMPARE, asked)
    page.get_by_role("region", name="Compare r1 ↔ r2").get_by_role("row", name="lr param").wait_for()
    page.get_by_role("tab", name="flow.ipynb").first.click()
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()
    # The lab writes its layout down a moment after it changed.
    page.wait_for_timeout(2500)
    page.add_init_script(ASK_EARLY % json.dumps({**asked, "baseline": "r2"}))
    page.goto(f"{flow.url}/lab?token=tests")
    page.wait_for_function("window.asked")
    assert page.evaluate("window.asked") == "before it was restored"
    page.evaluate("window.jupyterapp.restored.then(() => undefined)")
    tab = page.get_by_role("region", name="Compare r2 ↔ r1")
    tab.get_by_role("row", name="lr param").wait_for()
    tab.get_by_role("columnheader", name="r2 baseline").wait_for()
    assert page.locator(".nbp-View").count() == 1


def test_the_keyboard_alone_runs_opens_and_compares_and_axe_finds_nothing_in_either_theme(flow: Lab, page: Any) -> None:
    panel = opened(flow, page)
    panel.get_by_role("button", name="Run", exact=True).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="All, from the start").wait_for()
    page.keyboard.press("Escape")
    panel.get_by_role("button", name="Ways to run").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('tr')?.dataset.run"):
            break
    first = page.evaluate("document.activeElement.dataset.run")
    for key in ("Space", "ArrowDown", "Space", "Enter"):
        page.keyboard.press(key)
    panel.get_by_text(f"Details r{int(first[1:]) - 1}", exact=True).wait_for()
    page.keyboard.press("Shift+F10")
    page.get_by_role("menuitem", name="Restore this notebook").wait_for()
    page.keyboard.press("Escape")
    assert page.locator(".jp-Cell").count() == len(FLOW)
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
        light = "false" if theme.endswith("Dark") else "true"
        page.wait_for_function("light => document.body.dataset.jpThemeLight === light", arg=light)
        assert violations(page, f"{PANEL} .nbp") == []
    panel.locator("tr[data-run=r1]").focus()
    page.keyboard.press("c")
    page.locator(".nbp-View .nbp-compare").wait_for()
    assert violations(page, ".nbp-View") == []


def test_a_server_without_nbpipe_is_said_in_a_line(flow: Lab, page: Any) -> None:
    page.route("**/nbpipe/api/**", lambda route: route.fulfill(status=404, body="not found"))
    flow.open(page, "panel/flow.ipynb")
    page.evaluate("window.jupyterapp.commands.execute('nbpipe:open-panel')")
    page.locator(PANEL).get_by_role("alert").get_by_text("The server has no nbpipe").wait_for()
    assert page.locator(".jp-Dialog").count() == 0


def test_a_notebook_that_is_renamed_in_the_lab_keeps_its_runs(flow: Lab, page: Any) -> None:
    flow.write("panel/before.ipynb", "%%stage once\nx = 'this notebook alone'")
    nbpipe(flow, "run", "before.ipynb", "--quiet").check_returncode()
    flow.open(page, "panel/before.ipynb")
    page.evaluate("window.jupyterapp.commands.execute('nbpipe:open-panel')")
    runs = page.locator(f"{PANEL} tr[data-run] .nbp-status-succeeded")
    page.wait_for_function(CHOSEN, arg="panel/before.ipynb")
    runs.first.wait_for(timeout=60_000)
    assert runs.count() == 1
    page.evaluate("void window.jupyterapp.commands.execute('docmanager:rename')")
    field = page.locator(".jp-Dialog input")
    field.fill("after.ipynb")
    page.keyboard.press("Enter")
    page.wait_for_function(CHOSEN, arg="panel/after.ipynb")
    page.get_by_text("up to date (r").wait_for()
    runs.first.wait_for()
    assert runs.count() == 1
