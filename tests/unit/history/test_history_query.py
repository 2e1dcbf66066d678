"""Past runs, read from the journals that real runs write."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from written import write_run

from nbpipe.errors import UsageError
from nbpipe.history import refresh, rows, state
from nbpipe.history.notes import tag
from nbpipe.history.query import detail, find_run, runs
from nbpipe.history.refresh import INDEX
from nbpipe.history.summary import RunSummary
from nbpipe.model import Event
from nbpipe.run import journal as journals
from nbpipe.run.journal import JOURNAL, Journal
from nbpipe.run.project import Project
from nbpipe.run.state import RunState
from nbpipe.tracking.notes import read_notes


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_runs_come_newest_first_with_what_a_person_asks_for(project: Project) -> None:
    write_run(project)
    write_run(project, metrics={"acc": 0.9})

    newest, oldest = runs(project)

    assert (newest.run, oldest.run) == ("r2", "r1")
    assert (newest.name, newest.number, newest.status) == ("digits", 3, "succeeded")
    assert newest.metrics == {"acc": 0.9}
    assert newest.params == {"lr": 0.1}
    assert newest.stages == {"succeeded": 1, "waiting": 1}


def test_r10_is_newer_than_r9(project: Project) -> None:
    for _ in range(11):
        write_run(project)
    assert [item.run for item in runs(project, limit=3)] == ["r11", "r10", "r9"]


def test_a_failed_run_names_its_broken_stage_and_why(project: Project) -> None:
    write_run(project, status="failed")
    (found,) = runs(project)
    assert found.broken == ("train",)
    assert found.failure is not None
    assert found.failure.message == "boom"


def test_a_run_without_an_end_is_running_while_its_process_lives(project: Project) -> None:
    write_run(project, status=None, pid=os.getpid())
    assert runs(project)[0].status == "running"


def test_a_run_whose_process_is_gone_is_interrupted(project: Project) -> None:
    write_run(project, status=None, pid=2**22 + 1)
    (found,) = runs(project)
    assert found.status == "interrupted"
    assert found.stages == {"cancelled": 1, "waiting": 1}


def test_a_run_that_ends_between_two_looks_is_not_called_interrupted(project: Project) -> None:
    run = write_run(project, status=None, pid=os.getpid())

    def ends_now(folder: Path) -> bool:
        journal = Journal(folder)
        journal.append("run-finished", status="succeeded", exit_code=0)
        journal.close()
        return False

    assert detail(project, run, alive=ends_now).state.status == "succeeded"


def test_a_folder_just_made_is_a_run_that_starts_and_an_old_empty_one_was_interrupted(project: Project) -> None:
    run = project.new_run()
    assert runs(project)[0].status == "running"
    os.utime(project.runs / run, (1, 1))
    assert runs(project)[0].status == "interrupted"


@pytest.mark.parametrize(
    "damage", [b"", b"{", b'{"seq": 1, "time"', b"\x00\xff\n", b"[]\n", b'{"seq":7,"time":1,"kind":"x"}\n']
)
def test_a_damaged_journal_spoils_only_its_own_run(project: Project, damage: bytes) -> None:
    write_run(project)
    broken = write_run(project)
    (project.runs / broken / JOURNAL).write_bytes(damage)

    found = runs(project)

    assert [item.run for item in found] == ["r2", "r1"]
    assert found[1].status == "succeeded"


def test_half_a_last_line_is_as_if_it_had_not_been_written(project: Project) -> None:
    run = write_run(project, pid=2**22 + 1)
    path = project.runs / run / JOURNAL
    path.write_bytes(path.read_bytes()[:-5])
    assert runs(project)[0].status == "interrupted"


def test_runs_are_found_by_notebook_path_by_pipeline_name_and_by_status(project: Project, tmp_path: Path) -> None:
    write_run(project, name="digits")
    write_run(project, name="weather", status="failed")

    assert [item.run for item in runs(project, notebook=tmp_path / "digits.ipynb")] == ["r1"]
    assert [item.run for item in runs(project, notebook="weather")] == ["r2"]
    assert [item.run for item in runs(project, status="failed")] == ["r2"]
    assert runs(project, notebook="digits", status="failed") == []


def test_a_project_without_runs_has_an_empty_history_and_asking_leaves_nothing_behind(project: Project) -> None:
    assert runs(project) == []
    assert list(project.root.iterdir()) == []
    with pytest.raises(UsageError, match="no runs yet"):
        find_run(project, "latest")


def test_a_run_is_named_by_id_by_number_or_as_the_latest(project: Project) -> None:
    write_run(project)
    write_run(project)
    assert [find_run(project, word) for word in ("r1", "1", "latest")] == ["r1", "r1", "r2"]


@pytest.mark.parametrize("word", ["r9", "../r1", "r1/../r1", "", "r0", "-1", "²", "R1"])
def test_a_word_that_names_no_run_is_an_error_that_says_where_to_look(project: Project, word: str) -> None:
    write_run(project)
    with pytest.raises(UsageError) as caught:
        find_run(project, word)
    assert "nbpipe history" in (caught.value.fix or "")


def test_the_executed_copy_is_the_one_in_the_run_folder(project: Project) -> None:
    run = write_run(project)
    assert detail(project, run).executed is None
    copy = project.runs / run / "digits.ipynb"
    copy.write_text("{}")
    assert detail(project, run).executed == copy


def fill_index(project: Project, number: int = 30) -> Path:
    for _ in range(number):
        write_run(project)
    settle(project)
    runs(project)
    return project.state / "cache" / INDEX


def settle(project: Project) -> None:
    """As if all had happened a while ago: a time of just now is not yet to be trusted."""
    for folder in (*project.runs.iterdir(), project.runs):
        os.utime(folder, ns=(1, folder.stat().st_mtime_ns - 10**9))


def test_many_finished_runs_are_read_once_and_then_come_from_the_index(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_index(project)
    from_journals = runs(project)
    monkeypatch.setattr(refresh, "run_row", lambda *_: pytest.fail("a journal was read"))
    assert runs(project) == from_journals
    assert len(from_journals) == 30


def test_only_new_and_changed_runs_are_read(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_index(project)
    seen: list[str] = []
    real = rows.run_row

    def noted(folder: Path, state: RunState) -> RunSummary:
        seen.append(folder.name)
        return real(folder, state)

    monkeypatch.setattr(refresh, "run_row", noted)
    write_run(project)
    tag(project.runs / "r3", {"team": "vision"})
    assert len(runs(project)) == 31
    assert sorted(seen) == ["r3", "r31"]


def test_the_index_is_never_the_truth(project: Project) -> None:
    path = fill_index(project)
    shutil.rmtree(project.runs / "r7")
    (project.runs / "x").mkdir()
    # The same name in a folder made anew is another run.
    (project.runs / "r8").rename(project.runs / "old")
    write_run(project)
    shutil.copytree(project.runs / "r31", project.runs / "r8")
    events = (project.runs / "r8" / JOURNAL).read_text().replace('"digits"', '"other"')
    (project.runs / "r8" / JOURNAL).write_text(events)

    found = {item.run: item for item in runs(project)}

    assert "r7" not in found
    assert found["r8"].name == "other"
    path.unlink()
    assert {item.run: item for item in runs(project)} == found


@pytest.mark.parametrize("damage", [b"", b"{", b"SQLite format 3\x00" + b"\x00" * 5000])
def test_an_index_that_cannot_be_read_is_made_again(project: Project, damage: bytes) -> None:
    path = fill_index(project)
    expected = runs(project)
    path.write_bytes(damage)
    assert runs(project) == expected
    assert runs(project) == expected


def test_an_index_of_another_version_is_made_again(project: Project) -> None:
    path = fill_index(project)
    expected = runs(project)
    with closing(sqlite3.connect(path)) as other:
        other.executescript("DROP TABLE rows; CREATE TABLE rows (x); PRAGMA user_version = 99")
    assert runs(project) == expected


def test_a_history_in_a_place_that_cannot_be_written_is_read_all_the_same(project: Project) -> None:
    write_run(project)
    (project.state / "cache").write_text("a file where the folder should be")
    assert [item.run for item in runs(project)] == ["r1"]


def test_readers_and_writers_at_once_see_every_finished_run(project: Project) -> None:
    fill_index(project, 5)

    def ask(_: int) -> int:
        return len(runs(project))

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, n) for n in range(40)]
        for _ in range(10):
            write_run(project)
        assert {5, 15} >= {min(5, job.result()) for job in asked}
    assert len(runs(project)) == 15


def test_a_run_that_still_runs_is_looked_at_every_time(project: Project) -> None:
    live = write_run(project, status=None, pid=os.getpid())
    fill_index(project, 3)
    journal = Journal(project.runs / live)
    journal.append("run-finished", status="succeeded", exit_code=0)
    journal.close()
    assert {item.run: item.status for item in runs(project)}[live] == "succeeded"


def test_of_ten_thousand_runs_that_are_known_none_is_read_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(project)
    journal = (project.runs / "r1" / JOURNAL).read_bytes()
    for number in range(2, 10_001):
        folder = project.runs / f"r{number}"
        folder.mkdir()
        (folder / JOURNAL).write_bytes(journal)
    for run in project.run_ids():
        # Long ago: what was just written is looked at again.
        for path in (project.runs / run / JOURNAL, project.runs / run):
            os.utime(path, (1e9, 1e9))
    read = list[Path]()

    def noted(path: Path) -> Iterator[Event]:
        read.append(path)
        return journals.read(path)

    monkeypatch.setattr(state, "read", noted)
    assert len(runs(project)) == len(set(read)) == 10_000
    read.clear()
    assert len(runs(project, limit=20)) == 20
    assert runs(project, status="failed") == []
    assert read == []


def test_what_is_no_folder_among_the_runs_is_no_run(project: Project) -> None:
    write_run(project)
    (project.runs / "r11").write_text("a file")
    assert [item.run for item in runs(project)] == ["r1"]
    assert find_run(project, "latest") == "r1"
    assert project.new_run() == "r2"


def test_a_metric_that_is_no_number_is_left_out(project: Project) -> None:
    folder = project.run_folder(write_run(project))
    path = folder / JOURNAL
    path.write_bytes(path.read_bytes().replace(b'"run-finished"', b'"later"'))
    journal = Journal(folder)
    journal.append("stage-succeeded", stage="train", attempt=1, metrics={"acc": "<b>", "loss": 0.5, "on": True})
    journal.append("stage-succeeded", stage="load", attempt=1, metrics=["acc"])
    journal.append("run-finished", status="succeeded")
    journal.close()
    assert detail(project, "r1").state.metrics == {"loss": 0.5}


def test_tags_that_are_noted_at_the_same_time_are_all_kept(project: Project) -> None:
    folder = project.run_folder(write_run(project))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: tag(folder, {f"t{n}": "x"}), range(40)))
    assert len(read_notes(folder).tags) == 40
