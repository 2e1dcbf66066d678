"""A run that has ended can be deleted, and is gone for everybody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from histories import past_runs

from nbpipe.errors import StoreError, UsageError
from nbpipe.history.removal import remove_run
from nbpipe.history.search import Query, search
from nbpipe.run import record as records
from nbpipe.run.journal import Journal
from nbpipe.run.project import Project
from nbpipe.tracking import outbox


def rows(folder: Path) -> list[str]:
    return [row.run for row in search(Project(folder), Query()).rows]


def test_a_deleted_run_leaves_the_history_and_its_name_is_not_given_again(tmp_path: Path) -> None:
    project = past_runs(tmp_path, 3)
    assert rows(tmp_path) == ["r3", "r2", "r1"]
    outbox.enqueue(project.runs / "r3")
    remove_run(project, "r3")
    remove_run(project, "r2")
    assert rows(tmp_path) == ["r1"]
    assert outbox.pending(tmp_path) == []
    assert sorted(path.name for path in project.runs.iterdir()) == ["r1"]
    assert [path.name for path in project.state.iterdir() if "deleted-" in path.name] == []
    assert project.new_run() == "r4"


def test_what_is_no_run_or_not_there_is_not_deleted(tmp_path: Path) -> None:
    project = past_runs(tmp_path, 1)
    for name in ("r2", "../runs/r1", "", "latest"):
        with pytest.raises(UsageError):
            remove_run(project, name)
    assert rows(tmp_path) == ["r1"]


def test_a_run_that_is_on_is_not_deleted(tmp_path: Path) -> None:
    project = past_runs(tmp_path, 1)
    run = project.new_run()
    Journal(project.runs / run).close()
    with pytest.raises(UsageError, match="running"):
        remove_run(project, run)
    record = records.Record(id=run, notebook="n.ipynb", name="n", version="", pid=os.getpid())
    record.process_started = records.process_start(os.getpid())
    records.write(project.runs / run, record)
    with pytest.raises(UsageError, match="nbpipe stop r2"):
        remove_run(project, run)
    assert (project.runs / run).is_dir()


def test_a_run_whose_driver_died_is_settled_and_then_deleted(tmp_path: Path) -> None:
    project = past_runs(tmp_path, 1)
    run = project.new_run()
    journal = Journal(project.runs / run)
    journal.append("run-started", id=run, notebook="n.ipynb", name="n", version="", number=1, params={}, stages=[])
    journal.close()
    record = records.Record(id=run, notebook="n.ipynb", name="n", version="", pid=2**22 + 1, process_started=5)
    records.write(project.runs / run, record)
    remove_run(project, run)
    assert rows(tmp_path) == ["r1"]


def test_a_folder_that_cannot_be_deleted_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = past_runs(tmp_path, 1)

    def refuse(_self: Path, _target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StoreError, match="Permission denied"):
        remove_run(project, "r1")
    assert rows(tmp_path) == ["r1"]
