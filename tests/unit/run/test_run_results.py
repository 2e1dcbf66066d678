"""What earlier runs tell: the newest result per stage, expected times, merges; and how little is read for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rig import Rig

from nbpipe.model import Trace
from nbpipe.notebook.reader import read_notebook
from nbpipe.run import merges
from nbpipe.run import record as records
from nbpipe.run.expected import expected_seconds
from nbpipe.run.journal import Journal
from nbpipe.run.planning import plan_notebook
from nbpipe.run.project import Project
from nbpipe.run.results import Results
from nbpipe.store.manifest import Traces

_CELLS = ("%%stage a\na = [len('x')]", "%%stage b\nprint(a)")


def _timed(project: Project, notebook: str, profile: str | None = None, **seconds: float) -> None:
    run = project.new_run()
    folder = project.runs / run
    records.write(folder, records.Record(id=run, notebook=notebook, name="n", version="v", profile=profile))
    journal = Journal(folder)
    for stage, took in seconds.items():
        journal.append("stage-succeeded", stage=stage, seconds=took)
    journal.close()


def test_a_stage_is_expected_to_take_what_it_took_last(tmp_path: Path) -> None:
    project = Project(tmp_path)
    _timed(project, "n.ipynb", a=1.0, b=5.0)
    _timed(project, "n.ipynb", a=2.0)
    _timed(project, "other.ipynb", a=100.0, b=100.0)
    assert expected_seconds(project, "n.ipynb") == {"a": 2.0, "b": 5.0}
    assert expected_seconds(project, "new.ipynb") == {}


def test_what_a_quick_pass_took_is_not_what_the_full_run_takes(tmp_path: Path) -> None:
    project = Project(tmp_path)
    _timed(project, "n.ipynb", a=60.0)
    _timed(project, "n.ipynb", profile="smoke", a=1.0, b=1.0)
    assert expected_seconds(project, "n.ipynb") == {"a": 60.0}
    assert expected_seconds(project, "n.ipynb", "smoke") == {"a": 1.0, "b": 1.0}


def test_only_the_latest_runs_are_looked_at(tmp_path: Path) -> None:
    project = Project(tmp_path)
    _timed(project, "n.ipynb", long_ago=1.0)
    for _ in range(5):
        _timed(project, "n.ipynb", a=1.0)
    assert expected_seconds(project, "n.ipynb") == {"a": 1.0}


def test_a_run_without_record_or_journal_is_passed_over(tmp_path: Path) -> None:
    project = Project(tmp_path)
    _timed(project, "n.ipynb", a=1.0)
    project.new_run()
    assert expected_seconds(project, "n.ipynb") == {"a": 1.0}


def test_results_are_read_once_and_no_further_than_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path, _CELLS)
    for value in range(4):
        rig.run({"a": [rig.succeed(value)], "b": [rig.succeed(value)]}, fresh=True)
    read: list[str] = []
    everything = Traces.all

    def counted(self: Traces, problems: list[str] | None = None) -> Iterator[Trace]:
        for trace in everything(self, problems):
            read.append(trace.stage)
            yield trace

    monkeypatch.setattr(Traces, "all", counted)
    results = Results(rig.store, "n")
    newest = results.latest("b")
    assert newest is not None
    assert (newest.run, read) == ("r4", ["b"])
    assert [results.latest(name) is not None for name in ("a", "b", "a")] == [True, True, True]
    assert read == ["b", "a"]
    assert results.latest("never") is None
    assert results.latest("neither") is None
    assert len(read) == 8


def test_the_stage_of_another_notebook_says_nothing_of_this_one_s(tmp_path: Path) -> None:
    rig = Rig(tmp_path, _CELLS)
    rig.run()
    assert Results(rig.store, "n").latest("a") is not None
    assert Results(rig.store, "other").latest("a") is None


def test_joined_stages_are_remembered_by_the_notebook_s_content(tmp_path: Path) -> None:
    rig = Rig(tmp_path, _CELLS)
    before = read_notebook(rig.notebook)
    assert merges.known(rig.project, before) == ()
    merges.remember(rig.project, before, (("a", "b"),))
    assert merges.known(rig.project, read_notebook(rig.notebook)) == (("a", "b"),)
    rig.write(*_CELLS, "print(1)")
    assert merges.known(rig.project, read_notebook(rig.notebook)) == ()
    (path,) = (rig.project.state / "merges").iterdir()
    path.write_text("[[")
    assert merges.known(rig.project, before) == ()


def test_a_stage_whose_result_is_never_kept_has_not_its_first_run_for_ever(tmp_path: Path) -> None:
    rig = Rig(tmp_path, _CELLS)
    dice = rig.succeed(uncacheable=("it rolls dice",))
    for reason in ("first run", "its last result was not kept: it rolls dice"):
        rig.run({"a": [dice]})
        started = [
            event.data["reasons"] for event in rig.events if event.kind == "stage-started" and event.stage == "a"
        ]
        assert started == [[reason]]
    assert rig.state.warnings == ("stage 'a': it rolls dice: its result is not reused",)
    assert plan_notebook(rig.notebook).decisions[0].reasons == ("its last result was not kept: it rolls dice",)


def test_reasons_are_against_the_last_result_whether_it_was_kept_or_not(tmp_path: Path) -> None:
    def reasons() -> tuple[str, ...]:
        return plan_notebook(rig.notebook).decisions[0].reasons

    rig = Rig(tmp_path, ["%%stage a\nx = 1"])
    rig.run()
    rig.write("%%stage a\nx = 2")
    rig.run({"a": [rig.succeed(uncacheable=("it rolls dice",), seconds={"total": 7.0})]})
    assert reasons() == ("its last result was not kept: it rolls dice",)
    assert plan_notebook(rig.notebook).decisions[0].expected == 7.0
    rig.run({"a": [rig.succeed(uncacheable=("it asks the net",))]})
    assert reasons() == ("its last result was not kept: it asks the net",)
    rig.write("%%stage a\nx = 2\n\ny = 3")
    assert reasons() == ("cell 1 line 4 changed",)
    rig.run()
    for path in (rig.project.state / "store" / "traces").rglob("*.json"):
        path.unlink()
    assert reasons() == ("first run",)
