"""The history in a real JupyterLab: what a person sees, clicks and types."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lab import Lab, violations, wait_for

SHOW = ("import nbpipe", "w = nbpipe.history()\nw")
#: A lab on a busy machine starts slowly, once.
pytestmark = pytest.mark.timeout(180)


def runs(page: Any) -> list[str]:
    found: list[str] = page.eval_on_selector_all(".nbp-history tr[data-index]", "rows => rows.map(r => r.dataset.run)")
    return found


def says(page: Any, lab: Lab, code: str) -> str:
    """What the kernel of the notebook that is shown prints for this code."""
    text: str = page.evaluate(
        """async code => {
          const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
          const future = kernel.requestExecute({ code });
          let text = '';
          future.onIOPub = message => { text += message.content.text ?? message.content.evalue ?? ''; };
          await future.done;
          return text;
        }""",
        code,
    )
    return text.strip()


def test_search_filters_selection_and_comparison(lab: Lab, page: Any) -> None:
    lab.show(page, "history.ipynb", *SHOW)
    page.wait_for_selector("tr[data-run=r43]")
    assert page.locator(".nbp-history").get_by_role("heading", name="History 43 runs").is_visible()
    assert page.locator(".nbp-static").is_hidden()

    page.get_by_label("search runs").press_sequentially("mlp")
    page.wait_for_function("() => !document.querySelector('tr[data-run=r43]')")
    assert set(runs(page)) <= {f"r{n}" for n in range(2, 43, 2)}
    page.get_by_label("search runs").fill("")
    page.wait_for_selector("tr[data-run=r43]")

    page.get_by_role("button", name="Status", exact=True).click()
    page.locator(".nbp-panel").get_by_text("failed").click()
    page.wait_for_function("() => document.querySelectorAll('tr[data-index]').length === 6")
    assert runs(page) == ["r42", "r35", "r28", "r21", "r14", "r7"]
    page.locator(".nbp-panel").get_by_text("failed").click()
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Metric", exact=True).click()
    page.get_by_label("value").fill("0.88")
    page.get_by_role("button", name="Add", exact=True).click()
    page.wait_for_function("() => document.querySelectorAll('tr[data-index]').length === 2")
    assert runs(page) == ["r43", "r41"]
    assert says(page, lab, "print(list(w.runs['run']), w.query['where'])") == "['r43', 'r41'] ['metrics.acc > 0.88']"

    page.get_by_label("check r43").check()
    page.get_by_label("check r41").check()
    page.locator("tr[data-run=r41]").hover()
    page.get_by_label("baseline r41").click()
    page.locator("tr[data-run=r43]").get_by_text("▲ 0.019").wait_for()
    page.get_by_role("button", name="Compare 2").click()
    compared = page.get_by_role("region", name="compared runs")
    assert compared.get_by_role("row", name="lr").inner_text().split() == ["lr", "param", "0.041", "0.043"]
    wait_for(lambda: says(page, lab, "print(w.selected, w.baseline)") == "['r43', 'r41'] r41", "the traits follow")

    compared.get_by_role("button", name="Diff r41 ↔ r43").click()
    page.locator(".nbp-diff").get_by_role("tab", name="Params").wait_for()
    assert "0.041" in page.locator(".nbp-part").inner_text()

    says(page, lab, "w.selected = ['r1']; w.query = {}")
    page.wait_for_selector("tr[data-run=r40]")
    assert page.get_by_role("button", name="Compare 1").is_disabled()


def test_the_keyboard_is_enough_and_the_lab_keeps_its_hands_off(lab: Lab, page: Any) -> None:
    lab.show(page, "keys.ipynb", *SHOW)
    page.wait_for_selector("tr[data-run=r43]")
    cells = page.locator(".jp-Cell").count()
    page.get_by_label("search runs").focus()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.run") == "r43":
            break
    for key in ("Space", "ArrowDown", "ArrowDown", "Space", "b", "End"):
        page.keyboard.press(key)
    page.wait_for_function("() => document.activeElement.dataset.run === 'r1'")
    page.keyboard.press("Enter")
    page.get_by_role("region", name="run r1").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.activeElement.dataset.run === 'r1'")
    page.keyboard.press("c")
    page.get_by_role("region", name="compared runs").wait_for()
    assert says(page, lab, "print(w.selected, w.baseline)") == "['r43', 'r41'] r41"
    assert page.locator(".jp-Cell").count() == cells
    assert page.locator(".jp-Cell.jp-mod-selected").count() == 1


def test_axe_finds_nothing_and_the_colours_follow_the_theme(lab: Lab, page: Any) -> None:
    lab.show(page, "axe.ipynb", *SHOW, "nbpipe.diff('r41', 'r43')")
    page.locator(".nbp-diff").get_by_role("tab", name="Params").wait_for()
    page.get_by_label("check r43").check()
    page.get_by_label("check r42").check()
    page.get_by_role("button", name="Compare 2").click()
    page.get_by_role("region", name="compared runs").wait_for()
    page.get_by_role("button", name="Columns").click()
    seen = []
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
        dark = theme.endswith("Dark")
        page.wait_for_function("light => document.body.dataset.jpThemeLight === String(light)", arg=not dark)
        assert violations(page, ".nbp") == []
        seen.append(page.eval_on_selector(".nbp", "view => getComputedStyle(view).backgroundColor"))
    assert seen[0] != seen[1]


def test_a_saved_notebook_shows_a_table_where_there_is_no_kernel_any_more(lab: Lab, page: Any) -> None:
    lab.show(page, "saved.ipynb", *SHOW)
    page.wait_for_selector("tr[data-run=r43]")
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    saved = json.loads((lab.folder / "saved.ipynb").read_text())
    live, static = saved["cells"][1]["outputs"]
    assert list(live["data"]) == ["application/vnd.jupyter.widget-view+json"]
    assert "r43" in "".join(static["data"]["text/plain"])
    assert "<script" not in "".join(static["data"]["text/html"])

    page.reload()
    page.wait_for_selector(".nbp-history tr[data-run=r43]", timeout=60_000)
    page.wait_for_selector(".nbp-static", state="hidden")

    page.evaluate("window.jupyterapp.serviceManager.sessions.shutdownAll()")
    lab.open(page, "saved.ipynb")
    page.wait_for_selector(".nbp-static table")
    assert "r43" in page.locator(".nbp-static").inner_text()
    assert page.locator(".nbp-history").count() == 0
