"""The page of figures says what its tables say, and a ratio that grew is found."""

from __future__ import annotations

from benchmarks.goals import TITLE, goals
from benchmarks.measure import Figure, Section, table_of
from benchmarks.page import PAGE, Page


def _section(*seconds: float) -> Section:
    rows = [f"| line {n} | {value} ({value} to {value}) | 1.00 | |" for n, value in enumerate(seconds)]
    return Section("Some", "A note.", "\n".join(["| what | seconds |", "|---|---|", *rows]))


def test_a_ratio_that_grew_is_found_whatever_the_speed_of_the_machine() -> None:
    page = Page("# Benchmarks\n")
    page.put(_section(1.0, 2.0, 0.5))
    assert page.slower(_section(3.0, 6.0, 1.5), 1.5) == []
    assert page.slower(_section(1.0, 3.5, 0.5), 1.5) == ["Some: line 1: 3.50 times the first line, 2.00 on the page"]
    assert page.slower(Section("Other", "", _section(1.0, 9.0).table), 1.5) == []


def test_a_figure_without_a_measurement_says_so_and_no_goal_is_held_against_it() -> None:
    page = Page("# Benchmarks\n")
    table = table_of(
        [Figure("one", [2.0, 1.0, 4.0]), Figure("two", extra="could not be installed"), Figure("three", [1.0])]
    )
    page.put(Section("Some", "A note.", table))
    assert "| one | 2.00 (1.00 to 4.00) | 1.00 |  |" in table
    assert "| two | not measured | | could not be installed |" in table
    assert [page.seconds("Some", row) for row in ("one", "two", "three")] == [2.0, None, 1.0]


def test_the_goals_are_held_against_the_tables_below_them() -> None:
    page = Page(PAGE.read_text())
    assert goals(page).table in page.text_of(TITLE)
