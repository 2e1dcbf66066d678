"""Cells in a real JupyterLab: badges, tags, runs from a cell, suggestions and checks, by mouse and by keyboard."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lab import Lab, wait_for

AXE = Path(__file__).parents[2] / "labextension/node_modules/axe-core/axe.min.js"
#: A run of a few stages starts a kernel for each on a machine that may be busy.
pytestmark = pytest.mark.timeout(240)

FLOW = (
    "%load_ext nbpipe",
    "%%params\nlr: float = 0.01",
    "%%stage load\nimages = list(range(10))",
    "%%stage train --metrics acc\nacc = 0.9 + lr + len(images) * 0",
    '%%check good_enough --metric "acc > 0.5"\nassert acc < 2',
)


def badge(page: Any, cell: int) -> Any:
    return page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{cell}'] > .nbp-CellBadge")


def says(page: Any, cell: int, text: str) -> None:
    """Wait until the badge of the cell says this."""
    page.wait_for_function(
        """([cell, text]) => {
          const node = document.querySelectorAll('.jp-Notebook .jp-Cell')[cell]?.querySelector(':scope > .nbp-CellBadge');
          return node !== null && node !== undefined && node.innerText.replace(/\\s+/g, ' ').includes(text);
        }""",
        arg=[cell, text],
        timeout=60_000,
    )


def command(page: Any, name: str, args: dict[str, Any] | None = None) -> Any:
    return page.evaluate("([name, args]) => window.jupyterapp.commands.execute(name, args)", [name, args or {}])


def save(page: Any) -> None:
    command(page, "docmanager:save")


def saved(lab: Lab, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((lab.folder / name).read_text())
    return found


def sources(lab: Lab, name: str) -> list[str]:
    return ["".join(cell["source"]) for cell in saved(lab, name)["cells"]]


def without_runs(book: dict[str, Any]) -> Any:
    """The document without what running its cells, and saving it, leaves in it."""
    cells = [
        {key: value for key, value in cell.items() if key not in ("outputs", "execution_count")}
        | {
            "metadata": {key: value for key, value in cell["metadata"].items() if key not in ("execution", "trusted")},
            "source": "".join(cell["source"]),
        }
        for cell in book["cells"]
    ]
    return cells, {key: value for key, value in book["metadata"].items() if key == "nbpipe"}


def violations(page: Any, within: str) -> list[str]:
    if not page.evaluate("typeof window.axe === 'object'"):
        page.add_script_tag(content=AXE.read_text())
    found = page.evaluate("async within => (await axe.run(within)).violations", within)
    return [f"{item['id']}: {[node['html'][:200] for node in item['nodes'][:3]]}" for item in found]


def choose(page: Any, cell: int, item: str | re.Pattern[str]) -> None:
    page.locator(".jp-Notebook .jp-Cell").nth(cell).locator("> .nbp-CellBadge").click()
    page.get_by_role("menuitem", name=item).click()


def test_a_cell_is_tagged_renamed_and_untagged_with_the_mouse_and_nothing_else_changes(lab: Lab, page: Any) -> None:
    lab.write("tagged.ipynb", "x = 1", "y = x + 1", "print(y)")
    before = without_runs(saved(lab, "tagged.ipynb"))
    lab.open(page, "tagged.ipynb")
    page.locator(".jp-Notebook .jp-Cell").nth(0).locator(".jp-InputArea-editor").click()
    page.locator(".jp-Notebook .jp-Cell").nth(0).get_by_role(
        "button", name=re.compile("Say what this cell is|Tag Cell")
    ).click()
    form = page.locator(".nbp-TagForm")
    form.get_by_label("Name", exact=True).fill("Load Data")
    assert "not a valid name" in form.get_by_role("status").inner_text()
    form.get_by_label("Name", exact=True).fill("load")
    form.get_by_label("Options").fill("--retries 2")
    assert form.get_by_role("status").inner_text() == "%%stage load --retries 2"
    assert violations(page, ".jp-Dialog-body") == []
    page.get_by_role("button", name="Tag", exact=True).click()
    says(page, 0, "load")

    command(page, "nbpipe:tag-cell", {"cell": "c1", "name": "train", "options": "--after load"})
    says(page, 1, "train")
    choose(page, 0, re.compile("Rename Stage"))
    page.locator(".jp-Dialog input").fill("prepare")
    page.get_by_role("button", name="Rename", exact=True).click()
    says(page, 0, "prepare")
    save(page)
    assert sources(lab, "tagged.ipynb") == [
        "%%stage prepare --retries 2\nx = 1",
        "%%stage train --after prepare\ny = x + 1",
        "print(y)",
    ]
    choose(page, 0, re.compile("Take the Tag Off"))
    choose(page, 1, re.compile("Take the Tag Off"))
    page.wait_for_function("() => document.querySelectorAll('.nbp-CellBadge').length === 0")
    save(page)
    assert without_runs(saved(lab, "tagged.ipynb")) == before


def test_a_cell_is_tagged_with_the_keyboard_alone_in_its_metadata_for_who_wants_that(lab: Lab, page: Any) -> None:
    lab.write("keys.ipynb", "x = 1", "print(x)")
    lab.open(page, "keys.ipynb")
    page.evaluate(
        """async () => {
          const { serviceManager } = window.jupyterapp;
          await serviceManager.settings.save('@nbpipe/labextension:cells', '{"tagStyle": "metadata"}');
        }"""
    )
    try:
        lab.open(page, "keys.ipynb")
        page.locator(".jp-Notebook .jp-Cell").nth(0).click()
        page.keyboard.press("Escape")
        page.keyboard.press("Control+Alt+t")
        page.locator(".nbp-TagForm-name").wait_for()
        page.keyboard.type("load")
        page.keyboard.press("Enter")
        says(page, 0, "load")
        save(page)
        (first, second) = saved(lab, "keys.ipynb")["cells"]
        assert (first["metadata"]["nbpipe"], "".join(first["source"])) == ({"stage": "load"}, "x = 1")
        assert "nbpipe" not in second["metadata"]
        page.keyboard.press("Escape")
        page.keyboard.press("Control+Alt+m")
        page.get_by_role("menuitem", name=re.compile("Take the Tag Off")).wait_for()
        page.keyboard.press("ArrowUp")
        assert "Take the Tag Off" in page.locator(".lm-Menu-item.lm-mod-active").inner_text()
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.querySelectorAll('.nbp-CellBadge').length === 0")
        save(page)
        assert "nbpipe" not in saved(lab, "keys.ipynb")["cells"][0]["metadata"]
    finally:
        page.evaluate("() => window.jupyterapp.serviceManager.settings.save('@nbpipe/labextension:cells', '{}')")


def test_badges_follow_the_kernel_and_the_runs_and_the_document_keeps_nothing_of_it(lab: Lab, page: Any) -> None:
    lab.write("badges.ipynb", *FLOW)
    before = without_runs(saved(lab, "badges.ipynb"))
    lab.show(page, "badges.ipynb", *FLOW)
    says(page, 3, "train ✓")
    says(page, 4, "good_enough ✓")
    page.evaluate(
        """() => {
          const { model } = window.jupyterapp.shell.currentWidget.content;
          const cell = model.cells.get(3).sharedModel;
          cell.updateSource(cell.getSource().length, cell.getSource().length, ' + 0.01');
        }"""
    )
    says(page, 3, "train ✎ edited")
    save(page)
    says(page, 3, "train ⟳ stale")
    says(page, 4, "good_enough ⟳ stale")
    page.locator(".jp-Notebook .jp-Cell").nth(3).locator("> .nbp-CellBadge").focus()
    card = page.get_by_role("tooltip")
    card.wait_for()
    assert "edited" in card.inner_text()
    assert "lr" in card.inner_text()

    choose(page, 3, re.compile("Run from “train”"))
    page.locator(".nbp-StatusItem").get_by_text("nbpipe ✓").wait_for(timeout=90_000)
    listed = subprocess.run(
        [sys.executable, "-m", "nbpipe", "history", "badges.ipynb", "--json"],
        cwd=lab.folder,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **lab.environment},
    )
    assert "succeeded" in listed.stdout
    page.reload()
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    says(page, 2, "load ✓")
    says(page, 3, "train")
    assert violations(page, ".nbp-CellBadge") == []
    save(page)
    after = without_runs(saved(lab, "badges.ipynb"))
    assert after[0][3]["source"] == before[0][3]["source"] + " + 0.01"
    after[0][3]["source"] = before[0][3]["source"]
    assert after == before


def test_a_proposal_is_accepted_and_taken_back_and_a_problem_fixed(lab: Lab, page: Any) -> None:
    plain = ("import math", "n = 5", "numbers = [math.sqrt(i) for i in range(n)]", "total = sum(numbers)\nprint(total)")
    lab.write("plain.ipynb", *plain)
    before = without_runs(saved(lab, "plain.ipynb"))
    lab.open(page, "plain.ipynb")
    command(page, "nbpipe:suggest-stages")
    bar = page.get_by_role("region", name="Suggested stages")
    bar.wait_for()
    ghosts = page.locator(".nbp-CellGhost")
    assert ghosts.count() >= 1
    assert violations(page, ".nbp-SuggestBar") == []
    save(page)
    assert without_runs(saved(lab, "plain.ipynb")) == before
    name = page.locator(".nbp-CellGhost input:visible").first
    name.fill("renamed")
    name.press("Enter")
    bar.locator("[data-stage=renamed]").first.wait_for()
    bar.get_by_role("button", name="Accept all").click()
    bar.wait_for(state="detached")
    page.locator(".nbp-CellBadge").get_by_text("renamed").first.wait_for()
    save(page)
    assert any(source.startswith("%%stage renamed") for source in sources(lab, "plain.ipynb"))
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function("() => document.querySelectorAll('.nbp-CellBadge').length === 0")
    save(page)
    assert without_runs(saved(lab, "plain.ipynb")) == before

    # One by one: what is accepted is a tag at once, what is dismissed is proposed no longer, and the others wait.
    command(page, "nbpipe:suggest-stages")
    ghosts.first.wait_for()
    proposed = ghosts.count()
    ghosts.last.get_by_role("button", name="Accept").click()
    page.wait_for_function("() => document.querySelectorAll('.nbp-CellBadge').length === 1")
    if proposed > 1:
        ghosts.first.get_by_role("button", name="Dismiss").click()
    assert ghosts.count() == max(proposed - 2, 0)
    save(page)
    assert sum(source.startswith("%%") for source in sources(lab, "plain.ipynb")) == 1

    lab.write("broken.ipynb", "scaler = [i for i in range(3)]", "%%stage train\nx = scaler[0]")
    lab.open(page, "broken.ipynb")
    command(page, "nbpipe:check")
    mark = page.locator(".nbp-CellMark[data-severity=error]")
    mark.first.wait_for()
    assert "scaler" in mark.first.inner_text()
    assert violations(page, ".nbp-CellMarks") == []
    mark.first.get_by_role("button").first.click()
    page.wait_for_function("() => document.querySelectorAll('.nbp-CellMark[data-severity=error]').length === 0")
    save(page)
    assert sources(lab, "broken.ipynb") != ["scaler = [i for i in range(3)]", "%%stage train\nx = scaler[0]"]


def test_hostile_names_are_text_and_two_pages_with_one_document_do_not_fight(lab: Lab, page: Any) -> None:
    evil = "<img src=x onerror='window.__pwned=1'>"
    book = lab.write("evil.ipynb", f"%%stage {evil}\nx = 1", "y = 1", "z = 1")
    content = json.loads(book.read_text())
    content["cells"][1]["metadata"] = {"nbpipe": {"stage": evil, "options": evil}}
    content["cells"][2]["metadata"] = {"tags": [f"stage:{evil}"]}
    book.write_text(json.dumps(content))
    lab.open(page, "evil.ipynb")
    page.wait_for_function("() => document.querySelectorAll('.nbp-CellBadge').length === 3")
    assert page.locator(".nbp-CellBadge[data-state=wrong]").count() == 3
    for n in range(3):
        page.locator(".nbp-CellBadge").nth(n).focus()
        page.get_by_role("tooltip").wait_for()
    command(page, "nbpipe:check")
    page.locator(".nbp-CellMark").first.wait_for()
    assert page.evaluate("window.__pwned") is None
    made = ":is(.nbp-CellBadge, .nbp-CellCard, .nbp-CellMarks) :is(img, script, iframe, a)"
    assert page.locator(made).count() == 0

    lab.write("shared.ipynb", "x = 1", "y = 2")
    lab.open(page, "shared.ipynb")
    other = page.context.new_page()
    lab.open(other, "shared.ipynb")
    command(page, "nbpipe:tag-cell", {"cell": "c0", "name": "first"})
    save(page)
    before = (lab.folder / "shared.ipynb").read_text()
    says(page, 0, "first")
    other.wait_for_timeout(1500)
    wait_for(lambda: (lab.folder / "shared.ipynb").read_text() == before, "a page that only looks writes nothing", 5)
    assert sources(lab, "shared.ipynb") == ["%%stage first\nx = 1", "y = 2"]
    other.close()
