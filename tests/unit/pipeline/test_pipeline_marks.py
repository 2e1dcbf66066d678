"""Marks tell the line on which a code changed; comments, spaces and blank lines are no change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipe.pipeline.marks import changed_place, mark

CODE = "a = 1\nb = 2  # two\n\nc = '#3'"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = 1\nb = 3\n\nc = '#3'", "cell 7 line 3"),
        ("# new\na = 1\nb = 2\nc = '#4'", "cell 7 line 5"),
        ("a = 1\nb = 2\nc = '#3'\nd = 4", "cell 7 line 5"),
        ("x\na = 1\nb = 2\nc = '#3'", "cell 7 line 2"),
        ("a = 1", "cell 7"),
        ("a  =  1 # one\n\n\nb = 2\nc = '#3'", "cell 7"),
    ],
)
def test_the_first_line_that_differs_is_named(text: str, place: str) -> None:
    assert changed_place(mark("cell 4", CODE, 2), mark("cell 7", text, 2)) == place


def test_without_an_earlier_or_a_later_mark_the_place_is_all_there_is_to_say() -> None:
    assert changed_place(None, mark("cell 7", "a")) == "cell 7"
    assert changed_place(mark("cell 4", "a"), None) == "cell 4"
    assert changed_place(None, None) == ""
    assert changed_place("helpers.py", "helpers.py") == "helpers.py"


@given(st.text(), st.text())
def test_any_text_has_a_mark_and_any_two_can_be_compared(one: str, other: str) -> None:
    assert changed_place(mark("cell 1", one), mark("cell 1", one)) == "cell 1"
    assert changed_place(mark("cell 1", one), mark("cell 1", other)).startswith("cell 1")
