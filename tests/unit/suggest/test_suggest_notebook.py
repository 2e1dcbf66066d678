"""`nbpipe suggest` on whole notebooks: it adds tags and nothing else, and it never crashes."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

from nbpipe.cli.main import run
from nbpipe.errors import NotebookError, PipelineError, UsageError
from nbpipe.pipeline.extract import extract
from nbpipe.suggest.api import Suggestion, suggest_notebook


def book(folder: Path, *sources: str) -> Path:
    """A notebook; a source that starts with `# ` is a Markdown cell, one that starts with `RAW` a raw cell."""
    make = {"# ": nbformat.v4.new_markdown_cell, "RA": nbformat.v4.new_raw_cell}
    cells = [make.get(source[:2], nbformat.v4.new_code_cell)(source) for source in sources]
    path = folder / "book.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def suggest(folder: Path, *sources: str) -> Suggestion:
    return suggest_notebook(book(folder, *sources))


def stages(folder: Path, *sources: str) -> list[tuple[int, ...]]:
    return [stage.cells for stage in suggest(folder, *sources).stages]


def test_only_tags_and_one_mark_on_the_notebook_are_added(tmp_path: Path) -> None:
    path = book(tmp_path, "# A", "import json\nx = json.loads('1')", "RAW", "# B", "", "print(x)")
    before = json.loads(path.read_text())
    after = json.loads(suggest_notebook(path).notebook)
    assert [cell["metadata"].pop("tags", None) for cell in after["cells"]] == [
        None, ["stage:a"], None, None, None, ["stage:b"],
    ]  # fmt: skip
    assert after["metadata"].pop("nbpipe") == {"mergeable": True}
    assert after == before


ODD = {
    "time cell magic": "%%time\ny = x + 1",
    "bash cell": "%%bash\necho hello",
    "html cell": "%%html\n<b>x</b>",
    "javascript cell": "%%javascript\nconsole.log('{')",
    "R cell": "%%R\nx <- c(1, 2)",
    "writefile": "%%writefile helper.py\nvalue = 1",
    "shell line": "!pip install something",
    "pip magic": "%pip install something",
    "load_ext": "%load_ext autoreload\n%autoreload 2",
    "cd": "%cd ..",
    "bare magic": "ls -l",
    "matplotlib": "%matplotlib inline",
    "question mark": "x?",
    "two question marks": "?x",
    "input": "name = input('Name: ')",
    "await at the top": "import asyncio\nawait asyncio.sleep(0)",
    "async for at the top": "async def f():\n    yield 1\nasync for item in f():\n    print(item)",
    "indented": "    y = x\n    print(y)",
    "white lines": "if x:\n    y = '''a\n   \nb'''\n",
    "only a string": '"""About this notebook"""',
    "form feed": "\x0cy = 1",
    "exec": "exec('y = 1')",
    "star import": "from math import *\nsqrt(4)",
    "history": "print(Out, _)",
    "semicolon": "x;",
    "walrus": "(y := x + 1)",
    "match": "match x:\n    case 1: y = 2\n    case _: pass",
    "del": "y = 1\ndel y",
    "global at the top": "global y\ny = 1",
    "many lines": "\n".join(f"v{n} = {n} + x" for n in range(400)),
    "deep expression": "y = " + "+".join(["x"] * 150),
    "unicode": "größe = x\nπ = 3.14\nprint(größe, π)",
    "crlf": "y = 1\r\nz = y\r\n",
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_every_cell_that_does_something_ends_in_a_stage(tmp_path: Path, odd: str) -> None:
    found = stages(tmp_path, "# A", "x = len('a')", "# B", odd, "# C", "print(x)")
    assert sorted(number for cells in found for number in cells) == [2, 4, 6]


@pytest.mark.parametrize(
    "broken", ['print "Python 2"', "def f(:", "pd.read_csv(", "x <- 1 +", "It was a *dark* night."]
)
def test_a_cell_that_is_no_python_is_named(tmp_path: Path, broken: str) -> None:
    with pytest.raises(PipelineError) as error:
        suggest(tmp_path, "# A", "x = len('a')", "# B", f"\n{broken}", "# C", "print(x)")
    assert error.value.cell == 4
    assert error.value.line is not None


def test_a_cell_that_is_no_python_on_purpose_keeps_its_place(tmp_path: Path) -> None:
    path = book(tmp_path, "# A", "x = len('a')", "# B", "print 'no'", "# C", "print(x)")
    document = json.loads(path.read_text())
    document["cells"][3]["metadata"]["tags"] = ["raises-exception"]
    path.write_text(json.dumps(document))
    assert sorted(number for stage in suggest_notebook(path).stages for number in stage.cells) == [2, 4, 6]


@pytest.mark.parametrize("sources", [(), ("# Only text",), ("", "#comment"), ("RAW",)])
def test_a_notebook_without_code_says_so(tmp_path: Path, sources: tuple[str, ...]) -> None:
    with pytest.raises(PipelineError, match="no code cell"):
        suggest(tmp_path, *sources)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cells": 3}', "not json"])
def test_a_file_that_is_no_notebook_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "book.ipynb"
    path.write_text(text)
    with pytest.raises(NotebookError):
        suggest_notebook(path)


def test_a_notebook_that_has_stages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has stages already"):
        suggest(tmp_path, "%%stage a\nx = 1")


def test_what_later_stages_would_not_see_is_joined_with_them(tmp_path: Path) -> None:
    found = stages(
        tmp_path, "# A", "import math\nx = len('a')", "# B", "y = x + 1\nmath.palette = (y,)", "# C", "z = sorted(math.palette)",
    )  # fmt: skip
    assert found == [(2,), (4, 6)]


def test_a_text_notebook_gets_a_proposal_too(tmp_path: Path) -> None:
    path = tmp_path / "work.py"
    path.write_text(
        "# %% [markdown]\n# # Load\n\n# %%\nx = [1, 2]\n\n# %% [markdown]\n# # Sum\n\n# %%\ntotal = sum(x)\n"
    )
    suggestion = suggest_notebook(path)
    assert [(stage.name, stage.cells, stage.why) for stage in suggestion.stages] == [
        ("load", (2,), "under the heading “Load”"),
        ("sum", (4,), "under the heading “Sum”"),
    ]


def test_the_copy_of_a_text_notebook_is_proposed_and_written_as_one_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book.py").write_text("# %%\nx = 1\n\n# %%\nprint(x)\n")
    assert run(["suggest", "book.py"]) == 0
    assert "nbpipe suggest book.py -o book-stages.ipynb" in capsys.readouterr().out
    assert run(["suggest", "book.py", "-o", "book-stages.py"]) == 2
    assert "Name it book-stages.ipynb" in capsys.readouterr().err
    assert not (tmp_path / "book-stages.py").exists()
    assert run(["suggest", "book.py", "-o", "book-stages.ipynb"]) == 0
    assert [stage.name for stage in extract(tmp_path / "book-stages.ipynb").stages] == ["start"]


def test_parameters_profiles_and_setup_that_are_tagged_already_stay_what_they_are(tmp_path: Path) -> None:
    sources = (
        "%%params\nk: int = 1",
        "%%params smoke\nk = 0",
        "%%setup\nimport json",
        "x = json.loads(str(k))",
        "print(x)",
    )
    assert {number for cells in stages(tmp_path, *sources) for number in cells} == {4, 5}
