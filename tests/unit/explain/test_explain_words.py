"""An attribution in words: what fits into a terminal, what notes say, and what never reaches the screen."""

from __future__ import annotations

import click
import pytest

from nbpipe.cli.waterfall import attribution_shape, waterfall
from nbpipe.explain.attribution import Attribution, Part
from nbpipe.explain.differences import Difference
from nbpipe.live.command import with_notebook


def part(label: str, contribution: float = 0.0, *, status: str = "measured", reason: str = "") -> Part:
    found = Difference(ident=label, kind="code", label=label)
    return Part(differences=(found,), status=status, contribution=contribution, reason=reason)  # type: ignore[arg-type]


def attribution(*parts: Part, remainder: float = 0.0, reasons: tuple[str, ...] = ()) -> Attribution:
    return Attribution(
        metric="acc",
        before="r41",
        after="r43",
        start=0.914,
        end=0.921,
        parts=parts,
        remainder=remainder,
        reasons=reasons,
    )


def lines_of(found: Attribution, columns: int | None) -> list[str]:
    """What is left where colours are taken out, as in a file."""
    return [click.unstyle(line) for line in waterfall(found, columns)]


def test_the_largest_movement_has_the_longest_bar_and_a_small_one_still_has_one() -> None:
    lines = lines_of(attribution(part("train: code, cell 7", 0.02), part("lr 0.001 → 0.01", -0.0001)), None)
    assert lines == [
        "acc 0.914 (r41) → 0.921 (r43)",
        "  train: code, cell 7  +0.02    ▓▓▓▓▓▓▓▓▓▓",
        "  lr 0.001 → 0.01      −0.0001  ▓",
        "  not attributed        0",
    ]


def test_a_difference_without_a_value_has_a_question_mark_and_a_note() -> None:
    lines = lines_of(
        attribution(part("a", status="unmeasured"), part("b", status="no-effect"), remainder=0.007, reasons=("late",)),
        None,
    )
    assert lines[1:] == [
        "  a               ?",
        "  not attributed  +0.007  ▓▓▓▓▓▓▓▓▓▓",
        "  no effect: b",
        "  no time for: a",
        "  not attributed: late",
    ]


@pytest.mark.parametrize("columns", [30, 40, 60])
def test_a_narrow_terminal_shortens_names_and_keeps_numbers(columns: int) -> None:
    label = "a_stage_with_a_long_name → another_name: code, cells 7, 8, 9"
    table = lines_of(attribution(part(label, 0.004)), columns)[1:3]
    assert all(len(line) <= columns for line in table)
    assert "…" in table[0]
    assert "+0.004" in table[0]


def test_names_from_a_notebook_cannot_move_the_cursor() -> None:
    hostile = "x\x1b[2J\r\n\u202ey"
    text = "\n".join(lines_of(attribution(part(hostile, 1.0, reason=hostile), reasons=(hostile,)), 80))
    assert not set(text) & set("\x1b\r\u202e")


def test_no_movement_at_all_is_no_error() -> None:
    assert lines_of(attribution(), None)[-1] == "  not attributed   0"


def test_programs_get_every_part_with_its_differences() -> None:
    (shape,) = attribution_shape(attribution(part("train: code", 0.5)))["parts"]
    assert shape["differences"] == [{"kind": "code", "label": "train: code", "stage": None, "cell": None}]


def test_in_a_notebook_the_runs_are_its_only_arguments() -> None:
    words = ["explain", "r1", "r2", "--metric", "acc"]
    assert with_notebook(words, "n.ipynb") == words
