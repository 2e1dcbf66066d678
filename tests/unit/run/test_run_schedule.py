"""Which stage is started when, and what the end of one means for the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rig import Rig, fail

from nbpipe.errors import PipelineError
from nbpipe.executors.base import JobState
from nbpipe.executors.faulty import Scripted
from nbpipe.model import Event, Pipeline, Status
from nbpipe.plan.resolve import wanted
from nbpipe.run.engine import Engine, MergeNeeded

_DIAMOND = (
    "%%stage a\na = [len('x')]",
    "%%stage b\nb = [a[0] + 1]",
    "%%stage c\nc = [a[0] + 2]",
    "%%stage d\nprint(b, c)",
)
_FREE = tuple(f"%%stage {name}\n{name} = [len('{name}')]" for name in "abcd")


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, _DIAMOND)


def test_stages_run_as_their_inputs_come_and_side_by_side(rig: Rig) -> None:
    script = {name: [Scripted(rig.succeed(), polls=3)] for name in "abcd"}
    assert rig.run(script) == "succeeded"
    assert rig.submitted == ["a", "b", "c", "d"]
    assert rig.together() == 2
    order = [(event.kind, event.stage) for event in rig.events]
    assert order.index(("stage-succeeded", "a")) < order.index(("stage-started", "b"))
    assert order.index(("stage-succeeded", "b")) < order.index(("stage-started", "d"))
    assert order.index(("stage-succeeded", "c")) < order.index(("stage-started", "d"))


def test_a_stage_gets_what_those_above_gave(rig: Rig) -> None:
    rig.run({"a": [rig.succeed("the value")]})
    given = {spec.stage: spec.inputs for spec in rig.executor.submitted}
    assert rig.store.load_values(given["b"], {}) == {"a": ["a", "the value"]}
    assert given["a"] == {}


@pytest.mark.parametrize(("jobs", "cpus", "most"), [(1, 4, 1), (2, 4, 2), (None, 3, 3), (None, 1, 1), (3, 1, 3)])
def test_no_more_jobs_at_once_than_asked_for_or_than_there_are_processors(
    tmp_path: Path, jobs: int | None, cpus: int, most: int
) -> None:
    rig = Rig(tmp_path, _FREE)
    rig.run({name: [Scripted(rig.succeed(), polls=4)] for name in "abcd"}, jobs=jobs, cpus=cpus)
    assert rig.together() == most


@pytest.mark.parametrize(
    ("option", "most"),
    [("--cpus 2", 2), ("--cpus 64", 1), ("--gpus 1", 2), ("--gpus 0.5", 4), ("--memory 6GB", 1), ("--memory 1TB", 1)],
)
def test_options_count_against_the_machine_and_too_much_is_all_of_it(tmp_path: Path, option: str, most: int) -> None:
    rig = Rig(tmp_path, [cell.replace("\n", f" {option}\n", 1) for cell in _FREE])
    script = {name: [Scripted(rig.succeed(), polls=4)] for name in "abcd"}
    assert rig.run(script, cpus=4, gpus=2, memory=10_000_000_000) == "succeeded"
    assert rig.together() == most


def test_a_second_run_starts_nothing_and_an_edit_starts_what_depends_on_it(rig: Rig) -> None:
    rig.run()
    assert rig.run() == "succeeded"
    assert (rig.submitted, set(rig.statuses.values())) == ([], {"cached"})
    rig.write(*_DIAMOND[:2], "%%stage c\nc = [a[0] + 3]", _DIAMOND[3])
    rig.run({"c": [rig.succeed("changed")]})
    assert rig.submitted == ["c", "d"]


def test_the_same_value_again_leaves_what_is_below_cached(rig: Rig) -> None:
    rig.run()
    rig.write(_DIAMOND[0], "%%stage b\nb = [1 + a[0]]", *_DIAMOND[2:])
    rig.run()
    assert rig.statuses == {"a": "cached", "b": "succeeded", "c": "cached", "d": "cached"}


def test_a_stage_that_must_not_be_reused_runs_each_time(tmp_path: Path) -> None:
    rig = Rig(tmp_path, ("%%stage a --no-cache\na = [len('x')]", "%%stage b\nprint(a)"))
    rig.run()
    rig.run()
    assert rig.submitted == ["a"]
    assert list(rig.store.documents.names("leases")) == []


def test_what_stands_below_a_failure_is_not_started(rig: Rig) -> None:
    assert rig.run({"b": [fail()]}, jobs=1) == "failed"
    assert rig.statuses == {"a": "succeeded", "b": "failed", "c": "waiting", "d": "waiting"}
    failure = rig.engines[0].failure
    assert failure is not None
    assert failure.message == "no"


def test_what_runs_beside_a_failure_is_finished(rig: Rig) -> None:
    assert rig.run({"b": [fail()], "c": [Scripted(rig.succeed(), polls=20)]}) == "failed"
    assert rig.statuses["c"] == "succeeded"
    assert rig.run() == "succeeded"
    assert rig.submitted == ["b", "d"]


def test_the_failure_that_is_told_is_the_first_in_the_notebook(rig: Rig) -> None:
    slow = Scripted(fail(message="from b"), polls=10)
    assert rig.run({"b": [slow], "c": [fail(message="from c")]}) == "failed"
    failure = rig.engines[0].failure
    assert failure is not None
    assert failure.message == "from b"


def test_a_run_that_a_check_stops_is_rejected(rig: Rig) -> None:
    assert rig.run({"b": [fail("rejected", "rejected")]}, jobs=1) == "rejected"
    assert rig.statuses["d"] == "waiting"


@pytest.mark.parametrize("status", ["failed", "lost", "timeout"])
def test_a_stage_is_tried_again_as_often_as_it_says(tmp_path: Path, status: Status) -> None:
    rig = Rig(tmp_path, ("%%stage a --retries 2\na = [len('x')]",))
    assert rig.run({"a": [fail(status), fail(status), rig.succeed()]}) == "succeeded"
    assert rig.story("a") == ["started", "retry", "started", "retry", "started", "succeeded"]
    assert [spec.attempt for spec in rig.executor.submitted] == [1, 2, 3]
    assert len({spec.token for spec in rig.executor.submitted}) == 3


def test_a_retry_says_why(tmp_path: Path) -> None:
    rig = Rig(tmp_path, ("%%stage a --retries 1\na = [len('x')]",))
    rig.run({"a": [fail(message="the network"), rig.succeed()]})
    started = [event for event in rig.events if event.kind == "stage-started"]
    assert started[1].data["reasons"] == ["retry 1 of 1: the network"]


@pytest.mark.parametrize(("status", "code"), [("rejected", "rejected"), ("failed", "unserializable")])
def test_what_would_only_come_out_the_same_is_not_tried_again(tmp_path: Path, status: Status, code: str) -> None:
    rig = Rig(tmp_path, ("%%stage a --retries 3\na = [len('x')]",))
    rig.run({"a": [fail(status, code)]})
    assert rig.submitted == ["a"]


def test_a_job_that_ends_without_a_verdict_is_lost(rig: Rig) -> None:
    assert rig.run({"a": [Scripted(None, state=JobState("exited", 0))]}) == "failed"
    assert rig.engines[0].failures["a"].status == "lost"
    assert rig.statuses["a"] == "lost"


def test_the_verdict_of_another_attempt_does_not_count(rig: Rig) -> None:
    assert rig.run({"a": [rig.succeed(token="another")]}) == "failed"  # noqa: S106 - a fencing token is no secret
    assert rig.engines[0].failures["a"].status == "lost"


def test_a_job_that_ignores_its_timeout_is_killed(tmp_path: Path) -> None:
    rig = Rig(tmp_path, ("%%stage a --timeout 5s\na = [len('x')]",))
    now = iter(range(0, 10_000, 2))
    status = rig.run({"a": [Scripted(rig.succeed(), polls=1000)]}, clock=lambda: float(next(now)))
    assert (status, rig.statuses) == ("failed", {"a": "timeout"})
    assert len(rig.executor.cancelled) == 1


@pytest.mark.parametrize("how", ["ask", "kill"])
def test_a_run_that_is_stopped_cancels_what_runs_and_starts_nothing(rig: Rig, how: str) -> None:
    def stop(engine: Engine) -> None:
        engine.stopping = how

    assert rig.run(prepare=stop) == "cancelled"
    assert rig.submitted == []


@pytest.mark.parametrize("how", ["ask", "kill"])
def test_a_run_that_is_stopped_in_the_middle_gives_its_leases_back(rig: Rig, how: str) -> None:
    def stop(event: Event) -> None:
        if event.kind == "stage-started":
            rig.engines[-1].stopping = how

    assert rig.run({"a": [Scripted(rig.succeed(), polls=1000)]}, hear=stop) == "cancelled"
    assert (len(rig.executor.cancelled), rig.statuses["a"]) == (1, "cancelled")
    assert list(rig.store.documents.names("leases")) == []


def test_a_stage_that_another_run_computes_does_not_hold_back_those_that_want_the_same_room(tmp_path: Path) -> None:
    rig = Rig(tmp_path, _FREE)
    asked = wanted(rig.pipeline(), "b", {}, {})
    assert asked is not None
    other = rig.store.leases.claim(asked.key, "other")
    assert other is not None

    def hear(event: Event) -> None:
        if (event.kind, event.stage) == ("stage-succeeded", "d"):
            other.release()

    script = {name: [Scripted(rig.succeed(), polls=2)] for name in "abcd"}
    rig.run(script, cpus=1, hear=hear)
    assert (rig.submitted, rig.story("b")) == (["a", "c", "d", "b"], ["waiting", "started", "succeeded"])


def test_only_a_stage_takes_the_rest_from_the_cache_or_says_what_is_missing(rig: Rig) -> None:
    with pytest.raises(PipelineError, match="no result to reuse") as raised:
        rig.run(only="d")
    assert raised.value.stage == "a"
    rig.run()
    rig.run(only="d")
    assert rig.submitted == ["d"]


def test_from_a_stage_runs_it_and_what_depends_on_it(rig: Rig) -> None:
    rig.run()
    rig.run(from_="c")
    assert rig.submitted == ["c", "d"]


def test_until_a_stage_leaves_out_what_it_does_not_need(rig: Rig) -> None:
    assert rig.run(until="b") == "succeeded"
    assert rig.submitted == ["a", "b"]


def test_fresh_runs_everything_once(rig: Rig) -> None:
    rig.run()
    rig.run(fresh=True)
    assert sorted(rig.submitted) == ["a", "b", "c", "d"]


def test_a_value_that_cannot_be_stored_asks_for_a_merge_only_where_that_is_allowed(tmp_path: Path) -> None:
    rig = Rig(tmp_path, _DIAMOND)
    assert rig.run({"a": [fail(code="unserializable", name="a")]}) == "failed"
    book = json.loads(rig.notebook.read_text())
    book["metadata"]["nbpipe"] = {"mergeable": True}
    rig.notebook.write_text(json.dumps(book))
    with pytest.raises(MergeNeeded) as raised:
        rig.run({"a": [fail(code="unserializable", name="a")]})
    assert raised.value.names == ("a", "b", "c")
    assert rig.run({"d": [fail(code="unserializable", name="d")]}) == "failed"  # there is nothing to merge it with


@pytest.mark.parametrize("shape", ["in a chain", "side by side"])
def test_a_stage_is_looked_at_as_often_in_a_long_notebook_as_in_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    looks: list[str] = []

    def counted(pipeline: Pipeline, stage: str, *args: Any, **named: Any) -> Any:
        looks.append(stage)
        return wanted(pipeline, stage, *args, **named)

    monkeypatch.setattr("nbpipe.run.engine.wanted", counted)
    each = []
    for number in (8, 24):
        source = "%%stage s{0}\ns{0} = [s{1}[0]]" if shape == "in a chain" else "%%stage s{0}\ns{0} = [{1}]"
        (tmp_path / str(number)).mkdir()
        rig = Rig(
            tmp_path / str(number), ["%%stage s0\ns0 = [1]", *(source.format(n, n - 1) for n in range(1, number))]
        )
        looks.clear()
        assert rig.run({f"s{n}": [Scripted(rig.succeed(), polls=1)] for n in range(number)}, jobs=2) == "succeeded"
        each.append(len(looks) / number)
    assert each[1] <= each[0] * 1.2
