"""An executed notebook as a page."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
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


HOSTILE = """<p class="shown" onclick="fetch('https://evil.example')">table</p>
<script src="https://evil.example/x.js"></script><SCRIPT>alert(1)</sCript
><meta http-equiv="refresh" content="0;url=https://evil.example"><base href="https://evil.example/">
<iframe src="https://evil.example"></iframe><form action="https://evil.example"><svg><script>alert(2)</script></svg>
<img src="https://evil.example/i.png" onerror="alert(3)"><a href="javascript:alert(4)">go</a><script>never closed"""


class Elements(HTMLParser):
    """Start tags of a page as a browser sees them, those of the head apart."""

    def __init__(self) -> None:
        super().__init__()
        self.head: list[tuple[str, dict[str, str | None]]] = []
        self.body: list[tuple[str, dict[str, str | None]]] = []
        self._seen = self.head

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "body":
            self._seen = self.body
        self._seen.append((tag, dict(attrs)))


def output(data: dict[str, str]) -> dict[str, object]:
    return {"output_type": "display_data", "data": data, "metadata": {}}


def test_html_is_one_file_that_loads_and_runs_nothing(executed: Path, tmp_path: Path) -> None:
    page = write_report(executed, "html", tmp_path / "out" / "page.html").read_text()
    assert "hello from the run" in page
    found = Elements()
    found.feed(page)
    tags = [tag for tag, _ in found.head + found.body]
    assert not {"script", "link", "iframe"} & set(tags)
    assert not [attrs for _, attrs in found.head + found.body if (attrs.get("src") or "").startswith("http")]
    assert "@import" not in page
    assert not re.search(r"url\(\s*['\"]?https?:", page)
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_what_outputs_and_text_hold_cannot_act_in_the_page(executed: Path, tmp_path: Path) -> None:
    book = json.loads(executed.read_text())
    hostile = [output({"text/html": HOSTILE}), output({"application/javascript": "alert(5)"})]
    hostile.append(output({"image/svg+xml": "<svg><script>alert(6)</script></svg>"}))
    book["cells"][0]["outputs"] += hostile
    book["cells"].append({"cell_type": "markdown", "source": f"# text\n\n{HOSTILE}", "metadata": {}, "id": "b"})
    executed.write_text(json.dumps(book))
    page = write_report(executed, "html", tmp_path / "page.html").read_text()
    found = Elements()
    found.feed(page)
    first = next(attrs for tag, attrs in found.head if tag == "meta")
    policy = first["content"] or ""
    assert first["http-equiv"] == "Content-Security-Policy"
    assert policy.startswith("default-src 'none'")
    assert "script" not in policy
    assert not {"script", "meta", "base", "iframe", "form", "object", "embed"} & {tag for tag, _ in found.body}
    assert ("p", "shown") in [(tag, attrs.get("class")) for tag, attrs in found.body], "harmless HTML is still shown"


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
