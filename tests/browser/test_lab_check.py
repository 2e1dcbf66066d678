"""What "Check" marks on the cells, one cell of each kind, and the click that takes each mark away."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from lab import Lab, violations

pytestmark = pytest.mark.timeout(300)

#: A package that no index has.
PACKAGE = "nbpipe_try_me"
KINDS = (
    "%load_ext nbpipe",
    "scaler = [i for i in range(3)]",
    "%%stage scale\nscaled = scaler[1:]",
    "%%stage squares\nnumbers = (i * i for i in range(3))",
    "%%stage total\nsum_of = sum(numbers)",
    "%%stage read\ntext = open('data.cvs').read()",
    f"%%stage pack\nimport {PACKAGE}\npacked = {PACKAGE}.answer",
    "%%stage early\nbefore = 1",
    "%%stage late\nafter = 2",
    "%%stage old\nvalue = 1",
    "%%stage nowhere\nmissing = of_nobody + 1",
)
LONG = 120_000
RUN = """([...cells]) => {
  const { content } = window.jupyterapp.shell.currentWidget;
  for (const cell of cells) {
    content.activeCellIndex = cell;
    content.deselectAll();
    void window.jupyterapp.commands.execute('notebook:run-cell');
  }
}"""
TYPE = """([cell, source]) => {
  const { content } = window.jupyterapp.shell.currentWidget;
  content.widgets[cell].model.sharedModel.setSource(source);
}"""
SHOW = "cell => window.jupyterapp.shell.currentWidget.content.scrollToItem(cell).catch(() => undefined)"
COUNTED = """cell => {
  const { content } = window.jupyterapp.shell.currentWidget;
  return content.widgets[cell].model.executionCount !== null;
}"""


def wheel(folder: Path) -> None:
    """The package, where pip finds it without an index."""
    info = f"{PACKAGE}-1.0.dist-info"
    files = {
        f"{PACKAGE}.py": "answer = 42\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": f"{PACKAGE}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n",
    }
    with zipfile.ZipFile(folder / f"{PACKAGE}-1.0-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


def test_each_kind_of_problem_is_marked_on_its_cell_and_is_one_click_from_being_solved(lab: Lab, page: Any) -> None:
    folder = lab.folder / "check"
    (folder / "wheels").mkdir(parents=True)
    (folder / "nbpipe.toml").touch()
    (folder / "data.csv").write_text("a\n1\n")
    wheel(folder / "wheels")
    # pip looks there alone, and puts it beside the notebook.
    given = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder / "wheels"), "PIP_TARGET": str(folder)}
    settings = f"import os\nos.environ.update({given!r})"
    lab.write("check/kinds.ipynb", *KINDS, settings)
    lab.open(page, "check/kinds.ipynb")
    # Late before early, and the last one is edited after it ran.
    page.evaluate(RUN, [0, len(KINDS), 8, 7, 9])
    page.wait_for_function(COUNTED, arg=9)
    page.locator(".nbp-CellBadge", has_text="old").get_by_text("✓").wait_for()
    page.evaluate(TYPE, [9, "%%stage old\nvalue = 2"])
    page.evaluate("void window.jupyterapp.commands.execute('nbpipe:check')")

    def mark(cell: int, text: str) -> Any:
        found = page.locator(".jp-Notebook .jp-Cell").nth(cell).locator(".nbp-CellMark", has_text=text)
        found.wait_for(state="attached")
        # What is out of sight may not be drawn.
        page.evaluate(SHOW, cell)
        found.wait_for()
        return found

    def solve(cell: int, text: str, button: str) -> None:
        """The mark is there, with what is to be done about it; a click does it, and the mark is gone."""
        found = mark(cell, text)
        found.get_by_role("button", name=button, exact=True).click()
        found.wait_for(state="detached", timeout=LONG)

    # What nobody computes has no click; it says so, where it is.
    nobody = mark(10, "of_nobody")
    assert nobody.get_attribute("data-severity") == "error"
    assert nobody.get_by_role("button").count() == 0
    mark(9, "what it computed here is stale")
    assert violations(page, ".nbp-CellMarks") == []

    solve(2, "scaler", "Make cell 2 the stage 'prepare'")
    solve(3, "'numbers' is a generator, which cannot be stored", "Make a list of 'numbers'")
    solve(5, "reads 'data.cvs', which is not there", "Write data.csv for data.cvs")
    solve(6, f"imports '{PACKAGE}', which is not installed here", f"Install {PACKAGE}")
    solve(8, "was executed before cell 8", "Run cell 9 again")
    solve(9, "what it computed here is stale", "Run old here")
    page.evaluate(TYPE, [10, "%%stage nowhere\nmissing = 1"])
    page.evaluate("void window.jupyterapp.commands.execute('nbpipe:check')")
    page.get_by_text("Nothing stands in the way of a run.").wait_for(timeout=LONG)
    assert page.locator(".nbp-CellMark").count() == 0
    page.evaluate("void window.jupyterapp.commands.execute('nbpipe:run-pipeline')")
    page.locator(".nbp-StatusItem").get_by_text("nbpipe ✓").wait_for(timeout=LONG)
