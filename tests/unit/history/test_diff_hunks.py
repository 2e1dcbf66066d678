"""Hunks: applied to A they give B, whatever the texts are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipe.history.difference.hunks import MOST_LINES, apply_hunks, counted, hunks_of, whole
from nbpipe.history.difference.shape import CellStart

_LINES = st.lists(st.sampled_from(["", "a", "b", "    c", "- x", "+ y", " z"]), max_size=30)
_TEXT = st.one_of(_LINES.map("\n".join), st.text(max_size=60))


@given(_TEXT, _TEXT)
def test_the_hunks_of_two_texts_turn_one_into_the_other(a: str, b: str) -> None:
    hunks = hunks_of(a, b)
    assert hunks is not None
    assert apply_hunks(a, hunks) == b
    assert (hunks == ()) == (a == b)


@given(_TEXT, _TEXT)
def test_one_whole_hunk_does_it_too(a: str, b: str) -> None:
    assert apply_hunks(a, whole(a, b)) == b


@given(_LINES, _LINES)
def test_what_is_counted_is_what_changed(a: list[str], b: list[str]) -> None:
    hunks = hunks_of("\n".join(a), "\n".join(b))
    added, removed = counted(hunks or ())
    assert added - removed == max(len(b), 1) - max(len(a), 1)


def test_lines_are_numbered_from_one_with_three_lines_around() -> None:
    text = "\n".join(str(n) for n in range(1, 21))
    (hunk,) = hunks_of(text, text.replace("\n10\n", "\nten\n")) or ()
    assert (hunk.a_start, hunk.a_count, hunk.b_start, hunk.b_count) == (7, 7, 7, 7)
    assert hunk.lines == (" 7", " 8", " 9", "-10", "+ten", " 11", " 12", " 13")


def test_an_added_line_says_after_which_line_it_stands() -> None:
    (hunk,) = hunks_of("", "a") or ()
    assert (hunk.a_start, hunk.a_count, hunk.b_start, hunk.b_count) == (1, 1, 1, 1)
    (only,) = whole(None, "a\nb")
    assert (only.a_start, only.a_count, only.b_start, only.b_count, only.lines) == (0, 0, 1, 2, ("+a", "+b"))


def test_the_place_is_that_of_the_first_line_that_differs() -> None:
    cells = (CellStart(cell=3, line=1), CellStart(cell=7, line=4, first=2))
    (hunk,) = hunks_of("a\nb\nc\nd\ne", "a\nb\nc\nd\nf", a_cells=cells, b_cells=cells) or ()
    assert (hunk.a_cell, hunk.a_line, hunk.b_cell, hunk.b_line) == (7, 3, 7, 3)


def test_hunks_of_another_text_are_refused() -> None:
    hunks = hunks_of("a\nb", "a\nc") or ()
    with pytest.raises(ValueError, match="another text"):
        apply_hunks("x\ny", hunks)
    with pytest.raises(ValueError, match="overlap"):
        apply_hunks("a\nb", [*hunks, *hunks])


def test_texts_that_differ_too_much_are_not_compared_line_by_line() -> None:
    many = [str(n) for n in range(MOST_LINES + 10)]
    assert hunks_of("\n".join(many), "\n".join(f"x{line}" for line in many)) is None
    few = [*many[:-1], "end"]
    assert hunks_of("\n".join(many), "\n".join(few)) is not None
