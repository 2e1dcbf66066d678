"""The page of the view models has every field and every kind of message."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from nbpipe.history.search import Query
from nbpipe.run.project import Project
from nbpipe.ui.answers import Answers
from nbpipe.ui.views import PageView, ProgressView, RunRow, StageRow

PAGE = (Path(__file__).parents[2] / "docs/formats/view-models.md").read_text()


def part(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    ("title", "struct"), [("A query", Query), ("A page", PageView), ("A row", RunRow), ("Progress", ProgressView)]
)
def test_every_field_has_a_line_and_every_line_a_field(title: str, struct: type[msgspec.Struct]) -> None:
    cells = re.findall(r"^\| (`.*?) \|", part(title), re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == set(struct.__struct_fields__)


def test_every_field_of_a_stage_is_named() -> None:
    assert set(re.findall(r"`(\w+)`", part("Progress").partition("**A stage**")[2])) == set(StageRow.__struct_fields__)


def test_every_kind_of_question_is_there(tmp_path: Path) -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", part("Messages"), re.MULTILINE)) == set(Answers(Project(tmp_path))._known)
