"""From a notebook without tags to a pipeline that was run, changed, compared and exported: in one sitting, by one hand."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from lab import Lab

pytestmark = pytest.mark.timeout(240)

#: Handwritten digits, and the mean image of each: a heading a step, as people write them.
DIGITS: tuple[tuple[str, str], ...] = (
    ("code", "%load_ext nbpipe\nimport time\n\nimport numpy as np\nfrom sklearn.datasets import load_digits"),
    ("markdown", "# Reading digits\n\n## Load"),
    ("code", "digits = load_digits()\nimages, labels = digits.images.reshape(-1, 64), digits.target"),
    ("markdown", "## Prepare"),
    ("code", "cut = len(images) * 3 // 4\nX_train, X_test = images[:cut], images[cut:]"),
    ("code", "X_train = X_train[:300]"),
    ("markdown", "## Train"),
    (
        "code",
        """centres = np.stack([X_train[labels[: len(X_train)] == digit].mean(axis=0) for digit in range(10)])
for epoch in range(3):
    print(f"epoch {epoch + 1} of 3", flush=True)
    time.sleep(0.8)""",
    ),
    ("markdown", "## Evaluate"),
    (
        "code",
        """guess = ((X_test[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
acc = float((guess == labels[cut:]).mean())
print(f"{acc:.1%} are read")""",
    ),
)
PANEL = "#nbpipe-panel"
#: Looks on, and notes that something was there, however short.
WATCH = """(what) => {
  window.seen = false;
  const look = () => { window.seen ||= document.querySelector(what) !== null; };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
}"""


def write(lab: Lab, folder: str) -> str:
    """The notebook, in a project of its own."""
    home = lab.folder / folder
    home.mkdir()
    (home / "nbpipe.toml").touch()
    book = nbformat.v4.new_notebook()
    makers = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    book.cells = [makers[kind](source, id=f"c{n}") for n, (kind, source) in enumerate(DIGITS)]
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, home / "digits.ipynb")
    return f"{folder}/digits.ipynb"


def menu(page: Any, item: str) -> None:
    """Go down an open menu to this item, by keys, and choose it."""
    active = page.locator(".lm-Menu-item.lm-mod-active:visible")
    page.locator(".lm-Menu:visible").first.wait_for()
    for _ in range(20):
        page.keyboard.press("ArrowDown")
        if active.count() and item in active.last.inner_text():
            page.keyboard.press("Enter")
            return
    pytest.fail(f"no item {item}")


def tab_to(page: Any, text: str) -> None:
    """Press Tab until this has the focus."""
    said = "() => { const e = document.activeElement; return `${e.ariaLabel} ${e.innerText} row ${e.dataset.run}`; }"
    for _ in range(60):
        page.keyboard.press("Tab")
        if text in page.evaluate(said):
            return
    pytest.fail(f"Tab does not lead to {text}")


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

    panel.get_by_role("button", name="Suggest stages").click()
    page.get_by_role("region", name="Suggested stages").get_by_role("button", name="Accept all").click()
    panel.locator(".nbp-graph [data-stage=evaluate]").first.wait_for()

    page.evaluate(WATCH, f"{PANEL} .nbp-graph [data-stage=train] .nbp-status-running")
    panel.get_by_role("button", name="Run", exact=True).click()
    panel.get_by_role("tab", name="Log").click()
    panel.get_by_text("epoch 2 of 3").wait_for(timeout=60_000)
    page.wait_for_function("window.seen")
    panel.locator("tr[data-run=r1] .nbp-status-succeeded").wait_for(timeout=60_000)

    page.locator(".jp-Notebook .jp-Cell").nth(5).locator(".jp-InputArea-editor").click()
    page.locator(".jp-NotebookPanel-toolbar [data-command='notebook:cut-cell']").click()
    panel.get_by_text("3 stages changed").wait_for()
    panel.locator(".nbp-graph [data-stage=prepare]").first.click(button="right")
    page.get_by_role("menuitem", name="Run from here").click()
    panel.locator("tr[data-run=r2] .nbp-status-succeeded").wait_for(timeout=60_000)
    panel.locator(".nbp-graph [data-stage=load] .nbp-status-cached").first.wait_for()

    panel.get_by_label("check r1").click()
    panel.get_by_label("check r2").click()
    panel.get_by_role("button", name="Compare 2").click()
    view = page.get_by_role("region", name="Compare r1 ↔ r2")
    view.get_by_role("row", name="version").wait_for()
    view.get_by_role("tab", name="Data").click()
    view.get_by_role("tab", name="Code").click()
    view.locator(".nbp-hunks").get_by_text("X_train[:300]").wait_for()

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
    page.locator(".jp-Notebook .jp-Cell:focus").wait_for()

    palette(page, "Suggest Stages")
    page.locator("button:focus", has_text="Accept all").wait_for()
    page.keyboard.press("Enter")
    page.locator(".nbp-CellBadge", has_text="evaluate").wait_for()
    page.locator(".jp-Notebook .jp-Cell:focus").wait_for()
    for _ in range(9):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Control+Alt+t")
    page.locator(".nbp-TagForm-name:focus").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.type("--metrics acc")
    page.keyboard.press("Enter")
    page.locator(".jp-Notebook").get_by_text("--metrics acc").wait_for()

    page.keyboard.press("Control+Alt+Enter")
    page.keyboard.press("Control+Alt+p")
    panel.locator("tr[data-run=r1]").wait_for(timeout=60_000)
    tab_to(page, "Stages")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    panel.get_by_text("epoch 2 of 3").wait_for(timeout=60_000)
    panel.locator("tr[data-run=r1] .nbp-status-succeeded").wait_for(timeout=60_000)

    page.keyboard.press("Escape")
    page.locator(".jp-Notebook .jp-Cell:focus").wait_for()
    for _ in range(4):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+End")
    page.keyboard.press("Backspace")
    page.keyboard.type(" + 600]")
    page.keyboard.press("Escape")
    panel.get_by_text("3 stages changed").wait_for()
    page.keyboard.press("Control+Alt+m")
    menu(page, "Run from “prepare”")
    panel.locator("tr[data-run=r2] .nbp-status-succeeded").wait_for(timeout=60_000)

    page.keyboard.press("Control+Alt+p")
    tab_to(page, "row r2")
    for key in ("Space", "ArrowDown", "Space", "b", "c"):
        page.keyboard.press(key)
    view = page.get_by_role("region", name="Compare r1 ↔ r2")
    view.get_by_role("row", name="acc metric").wait_for()
    tab_to(page, "Metrics")
    page.keyboard.press("ArrowRight")
    view.locator(".nbp-hunks", has_text="X_train[:300 + 600]").wait_for()

    palette(page, "Show nbpipe")
    page.keyboard.press("Escape")
    palette(page, "Export Pipeline…")
    menu(page, "Airflow")
    page.locator("form[aria-label=export] input:focus").wait_for()
    page.keyboard.type("61 * * * *")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("'61' is no minute").wait_for()
    page.keyboard.press("Control+a")
    page.keyboard.type("30 6 * * 1-5")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Show folder").wait_for()
    tab_to(page, "Open")
    page.keyboard.press("Enter")
    page.locator(".jp-FileEditor").get_by_text("30 6 * * 1-5").wait_for()
