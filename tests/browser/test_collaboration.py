"""One notebook, two people: real-time collaboration. Part of `make test-matrix`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from lab import Lab, running_lab, wait_for

from nbpipe.run.earlier import notebook_of
from nbpipe.run.project import Project

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        find_spec("jupyter_server_ydoc") is None,
        reason="jupyter-collaboration is in an environment of make test-matrix",
    ),
]
#: Edits the last cell, and starts a run if it is to, before anything else can happen.
EDIT = """async ([source, run]) => {
  const { commands, shell } = window.jupyterapp;
  const { cells } = shell.currentWidget.content.model.sharedModel;
  cells[cells.length - 1].setSource(source);
  return run ? await commands.execute('nbpipe:run-pipeline') : null;
}"""
FLOW = ("%load_ext nbpipe", "x = [1, 2, 3]", "%%stage train --metrics acc\nacc = len(x) / 3")


@pytest.fixture(scope="module")
def shared(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab in which documents are shared."""
    assert browser
    root = tmp_path_factory.mktemp("shared")
    given = {"NBPIPE_TRACKING": "off", "XDG_CONFIG_HOME": str(root / "own"), "XDG_CACHE_HOME": str(root / "cache")}
    with running_lab(root, given) as running:
        (running.folder / "nbpipe.toml").touch()
        running.write("flow.ipynb", *FLOW)
        yield running


def opened(shared: Lab, page: Any, workspace: str) -> None:
    """The notebook, in a page of its own."""
    page.goto(f"{shared.url}/lab/workspaces/{workspace}/tree/flow.ipynb?token=tests&reset")
    page.locator(".nbp-CellBadge", has_text="train").wait_for(timeout=60_000)


def test_a_tag_of_one_is_a_badge_for_the_other_and_runs_leave_nothing_in_the_document(shared: Lab, page: Any) -> None:
    opened(shared, page, "one")
    other = page.context.new_page()
    opened(shared, other, "two")
    page.locator(".jp-Notebook .jp-Cell").nth(1).click()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Alt+t")
    page.locator(".nbp-TagForm-name:focus").wait_for()
    page.keyboard.type("load")
    page.keyboard.press("Enter")
    other.locator(".nbp-CellBadge", has_text="load").wait_for()

    other.locator(".jp-Notebook .jp-Cell").nth(2).click()
    other.keyboard.press("Escape")
    other.keyboard.press("Control+Alt+Enter")
    for one in (page, other):
        one.locator(".nbp-CellBadge", has_text="load").get_by_text("✓").wait_for(timeout=60_000)
        one.locator(".nbp-CellBadge", has_text="train").get_by_text("✓").wait_for(timeout=60_000)
        one.keyboard.press("Control+Alt+p")
        one.locator("#nbpipe-panel tr[data-run=r1] .nbp-status-succeeded").wait_for()

    def run_of(edit: str, editor: Any, runner: Any) -> str:
        """The last cell as it was run, right after one of them wrote it."""
        at_once = editor is runner
        run = editor.evaluate(EDIT, [edit, at_once])
        if not at_once:
            # What the other one sees need not be in the file yet.
            runner.locator(".jp-Notebook .jp-Cell").last.get_by_text(edit.splitlines()[1]).wait_for()
            run = runner.evaluate("window.jupyterapp.commands.execute('nbpipe:run-pipeline')")
        for one in (page, other):
            one.locator(f"#nbpipe-panel tr[data-run={run}] .nbp-status-succeeded").wait_for(timeout=60_000)
        book = json.loads(notebook_of(Project(shared.folder), run).read_text())
        return "".join(book["cells"][-1]["source"])

    for number, (editor, runner) in enumerate(((page, page), (page, other), (other, page))):
        edit = re.sub(r"/ 3", f"/ 3 + {number}.5", FLOW[2])
        assert run_of(edit, editor, runner) == edit
    page.evaluate(EDIT, [FLOW[2], False])

    def sources() -> list[str]:
        try:
            return ["".join(cell["source"]) for cell in saved()["cells"]]
        except json.JSONDecodeError:  # in the middle of being saved
            return []

    def saved() -> dict[str, Any]:
        book: dict[str, Any] = json.loads((shared.folder / "flow.ipynb").read_text())
        return book

    wait_for(lambda: sources() == [FLOW[0], "%%stage load\n" + FLOW[1], FLOW[2]], "the document is saved")
    book = saved()
    assert "nbpipe" not in book["metadata"]
    assert all("nbpipe" not in cell["metadata"] and cell["outputs"] == [] for cell in book["cells"])
