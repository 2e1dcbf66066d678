"""Runs side by side: whose files were written by another while they were used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbpipe.run.beside import Lane, bury, crossed

A, B, OUT, OTHER = Path("/r1/jobs/a.1"), Path("/r2/jobs/b.1"), Path("/p/data/out.txt"), Path("/p/other.txt")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "beside"


def lanes(place: Path, written: dict[Path, list[Path]], *, strict: bool = False) -> tuple[Lane, Lane]:
    """Two runs with a job each; what a job has written stands in `written`."""
    first, second = Lane(place, strict=strict), Lane(place, strict=strict)
    first.started(A, written.__getitem__)
    second.started(B, written.__getitem__)
    return first, second


def test_both_of_two_that_wrote_one_file_are_told(place: Path) -> None:
    first, second = lanes(place, {A: [OUT], B: [OUT]})
    assert first.used(A, [OUT]) == OUT
    first.over(A)
    assert second.used(B, [OUT]) == OUT, "the other one has ended meanwhile"
    second.over(B)
    assert list(place.iterdir()) == []


def test_who_looks_while_another_ends_is_told(place: Path) -> None:
    first, second = Lane(place), Lane(place)
    told = []

    def ending(_: Path) -> list[Path]:
        told.append(second.used(B, [OUT]))
        return [OUT]

    first.started(A, ending)
    second.started(B, {A: [OUT], B: []}.__getitem__)
    first.over(A)
    assert [*told, second.used(B, [OUT])] == [OUT, OUT]


def test_who_read_a_file_that_another_wrote_is_told_and_who_wrote_it_is_not(place: Path) -> None:
    first, second = lanes(place, {A: [OUT], B: []})
    assert second.used(B, [OUT]) == OUT
    assert first.used(A, [OUT]) is None
    assert (first.crossed, second.crossed) == (False, True)


def test_other_files_of_others_do_no_harm_but_may_explain_a_failure(place: Path) -> None:
    _, second = lanes(place, {A: [OUT], B: [OTHER]})
    assert second.used(B, [OTHER]) is None
    assert (second.mixed, second.crossed) == (None, True)


@pytest.mark.parametrize("strict", [True, False])
def test_the_names_in_a_folder_are_used_as_a_file_is_where_that_is_asked_for(place: Path, *, strict: bool) -> None:
    _, second = lanes(place, {A: [OUT], B: []}, strict=strict)
    assert second.used(B, [OUT.parent]) == (OUT.parent if strict else None)


@pytest.mark.parametrize("strict", [True, False])
def test_what_a_run_puts_in_place_counts_and_what_only_a_verdict_says_where_that_is_asked_for(
    place: Path, *, strict: bool
) -> None:
    first, second = lanes(place, {A: [], B: []}, strict=strict)
    first.wrote([OUT])
    assert second.used(B, [OUT]) == OUT
    first, second = lanes(place / "again", {A: [], B: []}, strict=strict)
    first.over(A, [OUT])
    assert second.used(B, [OUT]) == (OUT if strict else None)


def test_what_was_over_before_a_job_began_is_what_every_run_finds(place: Path) -> None:
    first, second = Lane(place), Lane(place)
    first.started(A, lambda _: [OUT])
    first.over(A)
    second.started(B, lambda _: [])
    assert second.used(B, [OUT]) is None
    assert not second.crossed


def test_a_process_that_has_died_is_in_nobody_s_way(place: Path) -> None:
    if not (child := os.fork()):
        Lane(place).started(A, lambda _: [OUT])
        os._exit(0)
    os.waitpid(child, 0)
    assert len(list(place.glob("*.json"))) == 1
    alive = Lane(place)
    alive.started(B, lambda _: [OUT])
    assert alive.used(B, [OUT]) is None
    alive.over(B)
    assert list(place.iterdir()) == []


def test_what_a_run_wrote_that_died_meanwhile_was_written_by_another(place: Path) -> None:
    alive = Lane(place)
    alive.started(B, lambda job: [OUT] if job == A else [])
    if not (child := os.fork()):
        Lane(place).started(A, lambda _: [OUT])
        os._exit(0)
    os.waitpid(child, 0)
    alive.wrote([OTHER])
    assert alive.used(B, [OUT]) == OUT
    assert crossed(place, A, lambda _: [OUT]), "the run beside it has taken its entry away"


@pytest.mark.parametrize(("theirs", "said"), [(OUT, True), (OTHER, False)])
def test_a_job_whose_run_died_was_alone_if_nobody_wrote_what_it_used(place: Path, theirs: Path, *, said: bool) -> None:
    written = {A: [OUT], B: [theirs]}.__getitem__
    _, second = lanes(place, {A: [OUT], B: [theirs]})
    assert crossed(place, A, written) == said, "the other one still runs"
    second.over(B)
    assert crossed(place, A, written) == said
    third = Lane(place)
    third.started(B, written)
    bury(place, A, written)
    assert third.used(B, [OUT]) == OUT, "what is taken back is written once more"
