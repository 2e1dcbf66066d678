"""Going back to an earlier run: its notebook in a new file, its parameters for a new run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import Site

FIRST = (
    "%%params\nlr: float = 0.5\nname: str = 'a'\nany_ = None",
    "%%stage one\nimport helper\nx = helper.f(lr)\nprint(x, name)",
)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """r1 ran with given parameters; since then the notebook has lost one of them, and a module has changed."""
    site = Site(tmp_path_factory.mktemp("checkout"))
    (site.folder / "helper.py").write_text("def f(x):\n    return x\n")
    site.write(*FIRST)
    assert site.run("-p", "lr=0.25", "-p", 'any_="7"').code == 0
    (site.root / "was.ipynb").write_bytes(site.notebook.read_bytes())
    (site.folder / "helper.py").write_text("def f(x):\n    return x + 1\n")
    site.write("%%params\nname: str = 'b'", "%%stage one\nprint(name)")
    yield site
    site.end_all()


def test_the_notebook_of_a_run_comes_back_byte_for_byte_and_no_file_is_written_over(old: Site) -> None:
    done = old.command("checkout", "r1", "--json")
    assert done.code == 0, done.err
    written = Path(done.json["notebook"])
    assert written == old.folder / "n-r1.ipynb"
    assert written.read_bytes() == (old.root / "was.ipynb").read_bytes()
    assert done.json["changed_modules"] == ["helper.py"]
    written.write_text("mine")
    again = old.command("checkout", "r1")
    assert again.code == 2
    assert "exists, and is not written over" in again.err
    assert written.read_text() == "mine"


def test_checkout_says_what_has_changed_and_how_to_run_it(old: Site) -> None:
    done = old.command("checkout", "1", "-o", "elsewhere.ipynb")
    assert done.code == 0
    assert "helper.py is not as it was" in done.out
    assert "nbpipe run elsewhere.ipynb --params-from r1" in done.out
    assert old.command("checkout", "r1", "-o", "no/such/folder.ipynb").code == 2
    assert old.command("checkout", "r99").code == 2


def test_a_run_takes_the_parameters_of_an_earlier_one_unless_they_are_given(old: Site) -> None:
    (old.folder / "same.ipynb").write_bytes((old.root / "was.ipynb").read_bytes())
    done = old.command("run", "same.ipynb", "--json", "--params-from", "latest", "-p", "name=c")
    assert done.code == 0, done.err
    params = old.detail(done.json["run"]).summary.params
    # What was given as the text "7" comes back as a text, not as what such a word on the command line would mean.
    assert params == {"lr": 0.25, "name": "c", "any_": "7"}


def test_parameters_that_the_notebook_no_longer_declares_are_named(old: Site) -> None:
    done = old.run("--params-from", "r1")
    assert done.code == 2
    assert "'any_', 'lr'" in done.err
    assert "nbpipe checkout r1" in done.err


def test_a_report_is_what_the_ending_of_its_file_says_or_is_refused(old: Site) -> None:
    refused = old.command("report", "r1", "-o", "page.docx")
    assert refused.code == 2
    assert "a report cannot be a .docx file" in refused.err
    assert ".html, .md, .pdf, .py" in " ".join(refused.err.split())
    assert not (old.folder / "page.docx").exists()
    for name, begins in (("page.HTM", "<!DOCTYPE html>"), ("page", "<!DOCTYPE html>"), ("page.markdown", "```")):
        assert old.command("report", "r1", "-o", name).code == 0
        assert (old.folder / name).read_text().lstrip().startswith(begins), name
    assert old.command("report", "r1", "--to", "html", "-o", "page.txt").code == 0
