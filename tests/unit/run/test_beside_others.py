"""Runs side by side in one process: whose files were written by another while they were used."""

from __future__ import annotations

from pathlib import Path

from nbpipe.run.beside import Beside, Lane

A, B, OUT, OTHER = Path("/r1/jobs/a.1"), Path("/r2/jobs/b.1"), Path("/p/data/out.txt"), Path("/p/other.txt")


def lanes(written: dict[Path, list[Path]]) -> tuple[Lane, Lane]:
    """Two runs with a job each; what a job has written stands in `written`."""
    beside = Beside()
    first, second = beside.lane(), beside.lane()
    first.started(A, written.__getitem__)
    second.started(B, written.__getitem__)
    return first, second


def test_both_of_two_that_wrote_one_file_are_told() -> None:
    first, second = lanes({A: [OUT], B: [OUT]})
    assert first.used(A, [OUT]) == OUT
    first.over(A)
    assert second.used(B, [OUT]) == OUT, "the other one has ended meanwhile"


def test_who_read_a_file_that_another_wrote_is_told_and_who_wrote_it_is_not() -> None:
    first, second = lanes({A: [OUT], B: []})
    assert second.used(B, [OUT]) == OUT
    assert first.used(A, [OUT]) is None
    assert (first.crossed, second.crossed) == (False, True)


def test_other_files_of_others_do_no_harm_but_may_explain_a_failure() -> None:
    _, second = lanes({A: [OUT], B: [OTHER]})
    assert second.used(B, [OTHER]) is None
    assert (second.mixed, second.crossed) == (None, True)


def test_the_names_in_a_folder_are_used_as_a_file_is() -> None:
    _, second = lanes({A: [OUT], B: []})
    assert second.used(B, [OUT.parent]) == OUT.parent


def test_what_a_run_puts_in_place_and_what_only_a_verdict_says_counts_too() -> None:
    first, second = lanes({A: [], B: []})
    first.wrote([OUT])
    assert second.used(B, [OUT]) == OUT
    first, second = lanes({A: [], B: []})
    first.over(A, [OUT])
    assert second.used(B, [OUT]) == OUT


def test_what_was_over_before_a_job_began_is_what_every_run_finds() -> None:
    beside = Beside()
    first, second = beside.lane(), beside.lane()
    first.started(A, lambda _: [OUT])
    first.over(A)
    second.started(B, lambda _: [])
    assert second.used(B, [OUT]) is None
    assert not second.crossed
