"""What a sweep is after: goals, conditions, and which trials are the best by them."""

from __future__ import annotations

import pytest

from nbpipe.errors import UsageError
from nbpipe.sweep.goals import Bound, Goal, read_bounds, read_goals, violations
from nbpipe.sweep.study import Trial, best_of

ACC, LATENCY = Goal(metric="acc", direction="max"), Goal(metric="latency", direction="min")


def trial(number: int, *values: float, off: tuple[float, ...] = (), status: str = "complete") -> Trial:
    return Trial(number=number, status=status, values=values, violations=off)  # type: ignore[arg-type]


def test_goals_say_metric_and_direction() -> None:
    assert read_goals(["acc:max", "val/loss:min"]) == (ACC, Goal(metric="val/loss", direction="min"))


@pytest.mark.parametrize("texts", [["acc"], ["acc:up"], [":max"], ["acc:max", "acc:min"], []])
def test_a_goal_that_says_less_is_refused(texts: list[str]) -> None:
    with pytest.raises(UsageError):
        read_goals(texts)


def test_conditions_are_bounds_on_metrics_whichever_way_they_are_written() -> None:
    limit = Bound(metric="latency", sign="<", limit=0.1)
    assert read_bounds(["latency < 0.1"]) == (limit,)
    assert read_bounds(["0.1 > latency"]) == (limit,)
    assert read_bounds(['-1 <= metrics["val/acc"] <= 1 and latency < 0.1']) == (
        Bound(metric="val/acc", sign=">=", limit=-1.0),
        Bound(metric="val/acc", sign="<=", limit=1.0),
        limit,
    )


@pytest.mark.parametrize(
    "text",
    ["acc", "acc = 1", "acc < loss", "acc < 1 or loss < 1", "params.lr < 1", "acc <", "f(acc) < 1", "acc < 1e999"],
)
def test_a_condition_that_no_sampler_could_follow_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_bounds([text])


def test_a_strict_bound_is_missed_where_it_is_met_exactly() -> None:
    bounds = read_bounds(["a < 1 and b <= 1"])
    strict, loose = violations(bounds, {"a": 1.0, "b": 1.0})
    assert strict > 0
    assert loose == 0
    assert violations(bounds, {"a": 0.5, "b": 3.0}) == (-0.5, 2.0)


def test_the_best_is_the_first_of_those_that_meet_every_condition() -> None:
    trials = [trial(1, 0.5), trial(2, 0.9, off=(0.1,)), trial(3, 0.7), trial(4, 0.7), trial(5, 0.8, status="rejected")]
    assert [found.number for found in best_of(trials, [ACC])] == [3]
    assert best_of([trial(1, 0.5, off=(1.0,))], [ACC]) == ()


def test_with_several_goals_those_stay_that_no_other_beats() -> None:
    trials = [trial(1, 0.5, 1.0), trial(2, 0.9, 3.0), trial(3, 0.8, 3.0), trial(4, 0.7, 2.0), trial(5, 0.4, 0.5)]
    assert [found.number for found in best_of(trials, [ACC, LATENCY])] == [2, 4, 1, 5]
