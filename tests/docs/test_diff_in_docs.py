"""The Python on the page about diffs is run, one block after the other, on real runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from runs import Site

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "diff.md"


def test_the_code_of_the_page_runs(
    compared: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    monkeypatch.chdir(compared.folder)
    exec("\n".join(blocks), {})  # noqa: S102 - our own page
    shown = capsys.readouterr().out
    assert "train changed code params metrics data outputs" in shown
    assert "lr 0.1 0.2 given to r2" in shown
