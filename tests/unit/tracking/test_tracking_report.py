"""An executed notebook as a page."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Literal

import pytest

from nbpipe.errors import NotebookError, UnsupportedError, UsageError
from nbpipe.tracking.report import write_report

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def executed(tmp_path: Path) -> Path:
    output = {"output_type": "stream", "name": "stdout", "text": "hello from the run"}
    code = {
        "cell_type": "code",
        "source": "print(x)",
        "outputs": [output],
        "execution_count": 1,
        "metadata": {},
        "id": "a",
    }
    path = tmp_path / "book.ipynb"
    path.write_text(json.dumps({"cells": [code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def test_html_holds_its_own_styles(executed: Path, tmp_path: Path) -> None:
    page = write_report(executed, "html", tmp_path / "out" / "page.html").read_text()
    assert "hello from the run" in page
    assert not re.search(r"<link[^>]+href=.https?:", page)
    assert set(re.findall(r"<script[^>]+src=.(https?://[^/]+)", page)) <= {"https://cdnjs.cloudflare.com"}


@pytest.mark.parametrize(("form", "name"), [("markdown", "book.md"), ("script", "book.py")])
def test_into_a_folder_it_is_named_like_the_notebook(
    executed: Path, tmp_path: Path, form: Literal["markdown", "script"], name: str
) -> None:
    path = write_report(executed, form, tmp_path)
    assert path == tmp_path / name
    assert "print(x)" in path.read_text()


@pytest.mark.skipif(shutil.which("xelatex") is not None, reason="LaTeX is installed")
def test_a_pdf_without_latex_says_what_to_install(executed: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="Install xelatex"):
        write_report(executed, "pdf", tmp_path)


def test_an_unknown_form_and_a_broken_notebook_are_named(executed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="html, markdown, pdf, script"):
        write_report(executed, "docx", tmp_path)  # type: ignore[arg-type]
    executed.write_text("{")
    with pytest.raises(NotebookError):
        write_report(executed, "html", tmp_path)
