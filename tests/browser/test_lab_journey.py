"""The digits example: tagged, run, watched, changed, run again from a stage, compared, diffed and exported, by one hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from lab import Lab

pytestmark = pytest.mark.timeout(600)

EXAMPLE = Path(__file__).parents[2] / "example_notebooks" / "digits.ipynb"
ROUNDED = "acc = round(acc, 3)"
PANEL = "#nbpipe-panel"
#: Milliseconds that a run of the example may take on a machine that has much else to do.
LONG = 200_000
#: Looks on, and notes that something was there, however short.
WATCH = """(what) => {
  window.seen = false;
  const look = () => { window.seen ||= document.querySelector(what) !== null; };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
}"""


#: The lab scrolls to the cell that an arrow led to, and when that has ended gives the notebook the focus, wherever it is by then.
SCROLLED = """async () => {
  const { content } = window.jupyterapp.shell.currentWidget;
  await content.scrollToItem(content.activeCellIndex, 'auto', 0);
  await new Promise(requestAnimationFrame);
  await new Promise((done) => setTimeout(done));
}"""


def write(lab: Lab, folder: str) -> str:
    """A copy of the example, in a project of its own: one cell is not tagged yet, and one stage has a second cell."""
    home = lab.folder / folder
    home.mkdir()
    (home / "nbpipe.toml").touch()
    book = nbformat.read(EXAMPLE, 4)
    found = {cell.source.partition("\n")[0].split(" --")[0]: n for n, cell in enumerate(book.cells)}
    untagged = book.cells[found["%%stage prepare"]]
    untagged.source = untagged.source.partition("\n")[2]
    book.cells.insert(found["%%stage evaluate"] + 1, nbformat.v4.new_code_cell(f"%%stage evaluate\n{ROUNDED}"))
    nbformat.write(book, home / "digits.ipynb")
    return f"{folder}/digits.ipynb"


def menu(page: Any, item: str) -> None:
    """Go down an open menu to this item, by keys, and choose it."""
    active = page.locator(".lm-Menu-item.lm-mod-active:visible")
    page.locator(".lm-Menu:focus .lm-Menu-item", has_text=item).first.wait_for()
    for _ in range(20):
        page.keyboard.press("ArrowDown")
        if active.count() and item in active.last.inner_text():
            page.keyboard.press("Enter")
            return
    pytest.fail(f"no item {item}")


def tab_to(page: Any, element: Any) -> None:
    """Press Tab until this has the focus; whoever looks for it sees it first."""
    element.wait_for()
    for _ in range(60):
        page.keyboard.press("Tab")
        if element.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"Tab does not lead to {element}")


def palette(page: Any, command: str) -> None:
    """Choose a command by typing its name."""
    page.keyboard.press("Control+Shift+C")
    page.locator(".lm-CommandPalette-input:focus").wait_for()
    page.keyboard.type(command)
    page.locator(".lm-CommandPalette-item.lm-mod-active", has_text=command).wait_for()
    page.keyboard.press("Enter")


def test_with_the_mouse_alone(lab: Lab, page: Any) -> None:
    write(lab, "mouse")
    page.goto(f"{lab.url}/lab?token=tests&reset")
    page.locator(".jp-DirListing-item", has_text="mouse").dblclick()
    page.locator(".jp-DirListing-item", has_text="digits.ipynb").dblclick()
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()
    page.locator(".jp-SideBar [data-id=nbpipe-panel]").click()
    panel = page.locator(PANEL)

    panel.get_by_role("alert").get_by_text("'X_train'").wait_for()
    panel.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name="Check the notebook").click()
    panel.get_by_role("alert").first.get_by_role("button", name="Show the cell").click()
    page.locator(".nbp-CellMark").get_by_role("button", name="Make cell 10 the stage 'prepare'").first.click()
    panel.locator(".nbp-graph [data-stage=prepare]").first.wait_for()
    panel.get_by_role("alert").first.wait_for(state="detached")

    page.evaluate(WATCH, f"{PANEL} .nbp-graph [data-stage=train_cnn] .nbp-status-running")
    panel.get_by_role("button", name="Run", exact=True).click()
    panel.get_by_role("tab", name="Log").click()
    panel.get_by_text("epoch 2/8").wait_for(timeout=LONG)
    page.wait_for_function("window.seen")
    panel.locator("tr[data-run=r1] .nbp-status-succeeded").wait_for(timeout=LONG)

    panel.locator(".nbp-graph [data-stage=evaluate]").first.click()
    page.locator(".jp-Notebook .jp-Cell", has_text=ROUNDED).locator(".jp-InputArea-editor").click()
    page.locator(".jp-NotebookPanel-toolbar [data-command='notebook:cut-cell']").click()
    panel.get_by_text(re.compile(r"\d stages? changed")).wait_for()
    panel.locator(".nbp-graph [data-stage=evaluate]").first.click(button="right")
    page.get_by_role("menuitem", name="Run from here").click()
    panel.locator("tr[data-run=r2] .nbp-status-succeeded").wait_for(timeout=LONG)
    panel.locator(".nbp-graph [data-stage=train_cnn] .nbp-status-cached").first.wait_for()

    panel.get_by_label("check r1").click()
    panel.get_by_label("check r2").click()
    panel.get_by_role("button", name="Compare 2").click()
    view = page.get_by_role("region", name="Compare r1 ↔ r2")
    view.get_by_role("row", name="version").wait_for()
    view.get_by_role("tab", name="Data").click()
    view.get_by_role("tab", name="Code").click()
    view.locator(".nbp-hunks").get_by_text(ROUNDED).wait_for()

    page.get_by_role("tab", name="digits.ipynb").click()
    for schedule, action in (("", "Show folder"), ("30 6 * * 1-5", "What changed")):
        page.locator(".jp-NotebookPanel-toolbar [data-command='nbpipe:export']").click()
        page.get_by_role("menuitem", name="Airflow").click()
        form = page.get_by_role("form", name="export")
        form.get_by_label("Schedule").wait_for()
        if schedule:
            # Copied from the example in the field: a schedule is typed, by whatever hand.
            form.get_by_label("Schedule").fill(schedule)
        form.get_by_role("button", name="Export").click()
        page.get_by_role("button", name=action).click()
    page.locator(".jp-DirListing-item", has_text="dag.py").wait_for()
    written = page.get_by_role("region", name="Export mouse/exports/digits-airflow")
    written.locator(".nbp-hunks", has_text="30 6 * * 1-5").wait_for()
    written.get_by_role("button", name="dag.py").click()
    page.get_by_role("tab", name="dag.py").wait_for()
    page.locator(".jp-FileEditor").get_by_text("airflow").first.wait_for()


def test_with_the_keyboard_alone(lab: Lab, page: Any) -> None:
    lab.open(page, write(lab, "keyboard"))
    panel = page.locator(PANEL)
    focused = page.locator(f"{PANEL}:focus-within")
    page.locator(".jp-Notebook .jp-Cell:focus").wait_for()

    for _ in range(9):
        page.keyboard.press("ArrowDown")
    page.evaluate(SCROLLED)
    page.keyboard.press("Control+Alt+t")
    page.locator(".nbp-TagForm-name:focus").wait_for()
    page.keyboard.type("prepare")
    page.keyboard.press("Enter")
    page.locator(".nbp-CellBadge", has_text="prepare").wait_for()

    page.keyboard.press("Control+Alt+Enter")
    page.keyboard.press("Control+Alt+p")
    panel.locator("tr[data-run=r1]").wait_for(timeout=60_000)
    focused.wait_for()
    tab_to(page, panel.get_by_role("tab", name="Stages"))
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    panel.get_by_text("epoch 2/8").wait_for(timeout=LONG)
    panel.locator("tr[data-run=r1] .nbp-status-succeeded").wait_for(timeout=LONG)

    page.keyboard.press("Escape")
    page.locator(".jp-Notebook .jp-Cell:focus").wait_for()
    for _ in range(7):
        page.keyboard.press("ArrowDown")
    page.evaluate(SCROLLED)
    page.keyboard.press("Enter")
    page.locator(".jp-Notebook .cm-content:focus").wait_for()
    page.keyboard.press("Control+End")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Backspace")
    page.keyboard.type("2")
    page.keyboard.press("Escape")
    panel.get_by_text(re.compile(r"\d stages? changed")).wait_for()
    page.keyboard.press("Control+Alt+m")
    menu(page, "Run from “evaluate”")
    panel.locator("tr[data-run=r2] .nbp-status-succeeded").wait_for(timeout=LONG)

    page.keyboard.press("Control+Alt+p")
    focused.wait_for()
    tab_to(page, panel.locator("tr[data-run=r2]"))
    for key in ("Space", "ArrowDown", "Space", "b", "c"):
        page.keyboard.press(key)
    view = page.get_by_role("region", name="Compare r1 ↔ r2")
    view.get_by_role("row", name="acc metric").wait_for()
    tab_to(page, view.get_by_role("tab", name="Metrics"))
    page.keyboard.press("ArrowRight")
    view.locator(".nbp-hunks", has_text="acc = round(acc, 2)").wait_for()

    page.keyboard.press("Control+Alt+p")
    focused.wait_for()
    page.keyboard.press("Escape")
    page.locator(".jp-Notebook :focus").wait_for()
    palette(page, "Export Pipeline…")
    menu(page, "Airflow")
    page.locator("form[aria-label=export] input:focus").wait_for()
    page.keyboard.type("61 * * * *")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("'61' is no minute").wait_for()
    page.keyboard.press("Control+a")
    page.keyboard.type("30 6 * * 1-5")
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Open", exact=True))
    page.keyboard.press("Enter")
    page.locator(".jp-FileEditor").get_by_text("30 6 * * 1-5").wait_for()
