"""Text on its way to a terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipe.cli import text


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("\x1b[2J\x1b[Hwiped", "wiped"),
        ("\x1b]0;new title\x07ok", "ok"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\rb\x00\x07\x7f", "ab"),
        ("\u202egpj.exe", "gpj.exe"),
        ("tab\tand\nline", "tab\tand\nline"),
    ],
)
def test_nothing_from_outside_moves_the_cursor(given_text: str, expected: str) -> None:
    assert text.plain(given_text) == expected


@given(st.text(alphabet=st.sampled_from("a[]0;mHJ\x1b\x07\x9b\r\n\u202e\\")))
def test_no_control_character_survives_whatever_stands_around_it(hostile: str) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text.plain(hostile))
    left = re.sub(r"\x1b\[[0-9;:]*m", "", text.coloured(hostile))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", left)


def test_colours_of_programs_stay_in_logs() -> None:
    assert text.coloured("\x1b[31mred\x1b[0m\x1b[2J") == "\x1b[31mred\x1b[0m"


@given(st.text(), st.integers(min_value=0, max_value=30))
def test_cut_text_fits_and_says_that_it_was_cut(word: str, columns: int) -> None:
    word = text.line(word)
    short = text.cut(word, columns)
    assert text.width(short) <= columns
    assert short in (word, "") or short.endswith("…")


def test_wide_characters_take_two_columns() -> None:
    assert text.width("日本") == 4
    assert text.pad("日本", 6) == "日本  "
    assert text.width("e\u0301") == 1


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, ""), (0, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (72, "1:12"), (3600, "1:00:00")],
)
def test_durations_read_as_people_say_them(seconds: float | None, expected: str) -> None:
    assert text.duration(seconds) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (99_600, "100 kB"), (2_340_000, "2.3 MB"), (5e12, "5.0 TB")],
)
def test_sizes_have_units(number: float, expected: str) -> None:
    assert text.size(number) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0.92134, "0.9213"), (12.0, "12"), (1.2e-5, "1.2e-05"), (float("nan"), "nan"), (-0.5, "-0.5")],
)
def test_metrics_have_four_digits(number: float, expected: str) -> None:
    assert text.metric(number) == expected


def test_times_past_are_told_from_now() -> None:
    ago = [text.ago(1_000_000 - gone, 1_000_000) for gone in (-5, 5, 300, 7200, 86_400, 400_000)]
    assert ago == ["just now", "just now", "5 min ago", "2 h ago", "1 day ago", "4 days ago"]


def test_values_of_parameters_are_shown_as_they_are_typed() -> None:
    assert [text.value(item) for item in ("a b", 1.5, True, None, [1, "é"])] == [
        "a b",
        "1.5",
        "true",
        "null",
        '[1, "é"]',
    ]


@pytest.mark.parametrize("left_on", ["\x1b[31mred", "\x1b[8mhidden\nmore", "\x1b[31;1ma\x1b[32mb"])
def test_a_colour_that_a_program_left_on_ends_with_its_text(left_on: str) -> None:
    assert text.coloured(left_on) == left_on + "\x1b[0m"
    assert text.coloured(left_on + "\x1b[0m") == left_on + "\x1b[0m"
    assert text.coloured("plain") == "plain"
