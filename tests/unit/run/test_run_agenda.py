"""Who is looked at next: sleepers and those without room cost nothing, and nobody is forgotten."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbpipe.model import Options, Stage
from nbpipe.run.agenda import Agenda


def _stages(number: int) -> list[Stage]:
    return [Stage(name=f"s{n}", kind="stage", cells=(), options=Options(cpus=1.0 + n % 2)) for n in range(number)]


def _agenda(number: int, selected: tuple[str, ...] = ()) -> Agenda:
    return Agenda(_stages(number), lambda name: not selected or name in selected, lambda stage: stage.options.cpus)


def _names(agenda: Agenda, settled: int = 99, *, room: bool = True) -> list[str]:
    return [stage.name for stage in agenda.look(settled, (), lambda _: room)]


def test_all_are_looked_at_in_notebook_order_and_those_left_out_never() -> None:
    assert _names(_agenda(3)) == ["s0", "s1", "s2"]
    agenda = _agenda(3, ("s1",))
    agenda.stand("s0")
    agenda.back("s2")
    assert _names(agenda) == ["s1"]
    assert [stage.name for stage in agenda.look(0, (0,), lambda _: True)] == ["s1"]


def test_a_stage_sleeps_until_the_one_it_waits_for_has_an_outcome() -> None:
    agenda = _agenda(3)
    agenda.sleep("s2", "s0")
    assert _names(agenda) == ["s0", "s1"]
    agenda.stand("s0")
    assert _names(agenda) == ["s1", "s2"]


def test_a_look_sees_what_it_changes_below_and_the_next_one_what_it_changed_above() -> None:
    agenda, seen = _agenda(4), []
    agenda.sleep("s0", "s1")
    agenda.sleep("s2", "s1")
    agenda.stand("s3")
    for stage in agenda.look(99, (), lambda _: True):
        seen.append(stage.name)
        if stage.name == "s1":
            agenda.stand("s1")
    # The outcome of s3 may rest on what s1 now gives.
    assert seen == ["s1", "s2", "s3"]
    assert _names(agenda) == ["s0", "s2"]


def test_where_there_is_no_room_for_one_the_others_that_ask_for_the_same_are_left_out() -> None:
    agenda = _agenda(6)
    for name in ("s0", "s2", "s4"):
        agenda.crowd(name)
    assert _names(agenda, room=False) == ["s1", "s3", "s5"]
    seen: list[str] = []
    free = [1, 1]
    for stage in agenda.look(99, (), lambda stage: bool(free) or stage.options.cpus != 1.0):
        seen.append(stage.name)
        if stage.options.cpus == 1.0:
            free.pop()
            agenda.start(stage.name)
    assert seen == ["s0", "s1", "s2", "s3", "s5"]


def test_one_that_does_not_take_the_room_that_there_is_holds_nobody_back() -> None:
    agenda = _agenda(6)
    for name in ("s0", "s2", "s4"):
        agenda.crowd(name)
    assert _names(agenda) == ["s0", "s1", "s2", "s3", "s4", "s5"]
    assert _names(agenda, room=False) == ["s0", "s1", "s2", "s3", "s4", "s5"]


def test_a_job_that_ends_without_an_outcome_and_an_outcome_taken_back_are_looked_at_again() -> None:
    agenda = _agenda(2)
    agenda.start("s0")
    agenda.stand("s1")
    assert _names(agenda) == []
    assert agenda.above("s1") == {"s0"}
    agenda.back("s0")
    agenda.back("s1")
    assert _names(agenda) == ["s0", "s1"]
    agenda.stand("s0")
    assert agenda.above("s1") == set()


@pytest.mark.parametrize("settled", [0, 2])
def test_outcomes_are_looked_at_from_where_they_are_not_settled(settled: int) -> None:
    agenda = _agenda(4)
    for n in range(4):
        agenda.stand(f"s{n}")
    assert _names(agenda, settled) == [f"s{n}" for n in range(settled, 4)]
    assert [stage.name for stage in agenda.look(3, [1], lambda _: True)] == ["s1", "s3"]


_STEP = st.tuples(st.sampled_from(["sleep", "crowd", "start", "back", "stand"]), st.integers(0, 7), st.integers(0, 7))


@example([("sleep", 4, 0), ("stand", 4, 0), ("stand", 0, 0)])
@given(st.lists(_STEP, max_size=40))
def test_nobody_is_forgotten(steps: list[tuple[str, int, int]]) -> None:
    """Against one that goes through all: each stage is awake, asleep, without room, at work or done, and given by that."""
    agenda = _agenda(8)
    state = dict.fromkeys(range(8), "awake")
    for what, place, other in steps:
        name = f"s{place}"
        if what == "stand":
            agenda.stand(name)
            state[place] = "done"
            for n, now in state.items():
                if now == f"asleep {place}":
                    state[n] = "awake"
        elif what == "back" and state[place] in {"start", "done"}:
            agenda.back(name)
            state[place] = "awake"
        elif state[place] == "awake" and what == "sleep" and state[other] != "done" and other != place:
            agenda.sleep(name, f"s{other}")
            state[place] = f"asleep {other}"
        elif state[place] == "awake" and what in {"crowd", "start"}:
            getattr(agenda, what)(name)
            state[place] = what
    assert _names(agenda, room=False) == [f"s{n}" for n, now in state.items() if now == "awake"]
    done = {n for n, now in state.items() if now == "done"}
    assert agenda.above("s7") == {f"s{n}" for n in range(7) if n not in done}
    assert _names(agenda, 0) == [f"s{n}" for n, now in state.items() if now in {"awake", "crowd", "done"}]
