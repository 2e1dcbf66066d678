"""Points are drawn so that a sweep that is taken up again goes on where it stopped; weak trials are found."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from nbpipe.model import Event, Param
from nbpipe.sweep.goals import Goal
from nbpipe.sweep.searcher import Searcher, grid_point, grid_size
from nbpipe.sweep.space import read_space
from nbpipe.sweep.study import Spec, Trial, replay

PARAMS = (
    Param(name="lr", type="float"),
    Param(name="n", type="int"),
    Param(name="flag", type="bool"),
    Param(name="sizes", type="list"),
)
TEXTS = {"lr": "log:1e-4:1", "n": "1:5", "flag": "*", "sizes": "[[1], [2, 3]]"}
GOAL = Goal(metric="acc", direction="max")


def spec(texts: dict[str, str] | None = None, **more: Any) -> Spec:
    space, _ = read_space(PARAMS, texts or TEXTS)
    return Spec(notebook="n.ipynb", space=space, goals=more.pop("goals", (GOAL,)), **more)


def score(params: dict[str, Any]) -> float:
    return float(-abs(params["lr"] - 0.01) + params["n"])


def searched(asked: Spec, count: int, *, restart_at: int = 0) -> list[Trial]:
    """Trials one after the other; at `restart_at` everything but the trials so far is lost, one of them in flight."""
    done: list[Trial] = []
    searcher = Searcher(asked)
    for number in range(1, count + 1):
        params = searcher.ask(number)
        if number == restart_at:
            searcher = Searcher(asked, done)
            assert searcher.ask(number, params) == params
        values = (score(params), *([1.0] if len(asked.goals) > 1 else []))
        done.append(Trial(number=number, status="complete", params=params, values=values))
        searcher.tell(done[-1])
    return done


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_sweep_that_is_killed_and_taken_up_again_tries_the_same_points(sampler: str) -> None:
    asked = spec(sampler=sampler, startup=4)
    undisturbed = searched(asked, 12)
    assert [trial.params for trial in searched(asked, 12, restart_at=7)] == [trial.params for trial in undisturbed]
    assert len({trial.params["lr"] for trial in undisturbed}) == 12, "no point is drawn twice"


def test_points_have_the_types_of_their_parameters() -> None:
    for trial in searched(spec(sampler="random"), 10):
        assert type(trial.params["lr"]) is float
        assert type(trial.params["n"]) is int
        assert type(trial.params["flag"]) is bool
        assert trial.params["sizes"] in ([1], [2, 3])


def test_another_seed_draws_other_points() -> None:
    first = searched(spec(sampler="random"), 3)
    assert [t.params for t in searched(spec(sampler="random", sampler_seed=1), 3)] != [t.params for t in first]


def test_the_sampler_learns() -> None:
    found = searched(spec({"lr": "0:1"} | {"n": "1:100"}, sampler="tpe", startup=8), 40)
    assert max(trial.values[0] for trial in found[20:]) > max(trial.values[0] for trial in found[:8])
    assert sum(trial.params["n"] for trial in found[30:]) / 10 > 60


def test_a_grid_has_every_point_once() -> None:
    asked = spec({"n": "1:3", "flag": "*"}, sampler="grid")
    assert grid_size(asked.space) == 6
    points = [trial.params for trial in searched(spec({"n": "1:3", "flag": "*", "lr": "1,2"}, sampler="grid"), 12)]
    assert len({str(point) for point in points}) == 12
    assert grid_point(asked, 6) == {"n": 3, "flag": True}
    assert grid_size(spec().space) is None


def test_a_trial_far_below_the_median_is_weak_and_a_good_one_is_not() -> None:
    asked = spec({"n": "1:9"}, sampler="random", startup=3)
    searcher = Searcher(asked)
    for number in (1, 2, 3):
        params = searcher.ask(number)
        assert searcher.weak_at(number, {0: 0.5, 1: 0.8}) is None, "the first ones run to their end"
        steps = {0: 0.5, 1: 0.8}
        searcher.tell(Trial(number=number, status="complete", params=params, values=(0.8,), steps=steps))
    searcher.ask(4)
    searcher.ask(5)
    searcher.ask(6)
    assert searcher.weak_at(4, {}) is None
    assert searcher.weak_at(4, {0: 0.1}) == 0
    assert searcher.weak_at(5, {0: 0.6}) is None
    assert searcher.weak_at(5, {1: 0.9}) is None
    assert searcher.weak_at(6, {0: 0.1, 1: 0.1, 7: 0.1}) == 0, "seen late, when no other trial has come as far"


def test_a_trial_that_ended_before_anybody_looked_counts_with_all_its_steps() -> None:
    searcher = Searcher(spec({"n": "1:9"}, sampler="random", startup=1))
    params = searcher.ask(1)
    searcher.tell(Trial(number=1, status="complete", params=params, values=(0.8,), steps={0: 0.5, 1: 0.8}))
    searcher.ask(2)
    assert searcher.weak_at(2, {1: 0.1}) == 1


def test_ends_of_every_kind_are_taken_in_and_known_again_after_a_restart() -> None:
    asked = spec({"n": "1:9"}, sampler="tpe", startup=2)
    ends: list[dict[str, Any]] = [
        {"status": "pruned", "steps": {0: 0.1}},
        {"status": "failed"},
        {"status": "rejected", "values": (1.0,), "violations": (1.0,)},
        {"status": "rejected"},
        {"status": "complete", "values": (2.0,), "violations": (-0.5,)},
    ]
    searcher, done = Searcher(asked), []
    for number, end in enumerate(ends, 1):
        params = searcher.ask(number)
        if end.get("steps"):
            searcher.weak_at(number, end["steps"])
        done.append(Trial(number=number, params=params, **end))
        searcher.tell(done[-1])
    assert Searcher(asked, done).ask(6) == searcher.ask(6)


def test_several_goals_with_conditions_are_searched_without_a_warning() -> None:
    goals = (GOAL, Goal(metric="latency", direction="min"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(searched(spec(goals=goals, sampler="tpe", startup=2), 5)) == 5


def test_a_journal_gives_back_the_study_it_tells_of() -> None:
    asked = spec()
    params = {"lr": 0.5, "n": 2, "flag": True, "sizes": [1]}
    events = [
        ("sweep-started", {"spec": to_json(asked), "trials": 9}),
        ("trial-asked", {"number": 1, "params": params}),
        ("trial-started", {"number": 1, "run": "r4"}),
        (
            "trial-ended",
            {"number": 1, "status": "complete", "run": "r4", "values": [0.5], "steps": {"0": 0.1, "10": 0.5}},
        ),
        ("trial-asked", {"number": 2, "params": params}),
        ("trial-started", {"number": 2, "run": "r5"}),
        ("from-a-later-version", {"number": 2}),
        ("sweep-finished", {"status": "interrupted"}),
    ]
    study = replay(
        "s1", (Event(seq=n, time=float(n), kind=kind, data=data) for n, (kind, data) in enumerate(events, 1))
    )
    assert study is not None
    assert (study.spec, study.status, study.total, study.ended) == (asked, "interrupted", 9, 8.0)
    first, second = study.trials
    assert (first.status, first.run, first.values, first.steps) == ("complete", "r4", (0.5,), {0: 0.1, 10: 0.5})
    assert (second.status, second.run, second.is_over) == ("running", "r5", False)
    assert [trial.number for trial in study.best] == [1]


def to_json(asked: Spec) -> Any:
    import msgspec

    return msgspec.json.decode(msgspec.json.encode(asked))
