"""A view that is open hears which runs moved on, by one thread that ends with it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import msgspec
from histories import past_run, past_runs
from lab import wait_for

from nbpipe.live.trial_files import TrialFiles
from nbpipe.run.journal import Journal
from nbpipe.run.project import Project
from nbpipe.tracking.trial import Trial
from nbpipe.ui.watch import Watch


def watching(project: Project, lease: float = 60.0) -> tuple[Watch, list[dict[str, Any]]]:
    heard: list[dict[str, Any]] = []
    return Watch(project, heard.append, interval=0.02, lease=lease), heard


def threads() -> int:
    return sum(thread.name == "nbpipe-watch" for thread in threading.enumerate())


def test_new_runs_and_runs_that_move_on_are_told_with_their_rows(tmp_path: Path) -> None:
    project = past_runs(tmp_path, 2)
    watch, heard = watching(project)
    watch.hear({"kind": "open"})
    wait_for(lambda: watch._newest, "it has looked once")
    past_run(project, 3, params={"lr": 1}, metrics={"acc": 0.5})
    wait_for(lambda: heard and heard[-1]["rows"] and heard[-1]["rows"][0]["status"] == "succeeded", "r3 is told")
    assert {row["run"] for message in heard for row in message["rows"]} == {"r3"}
    json.dumps(heard)
    heard.clear()
    folder = project.runs / "r4"
    folder.mkdir()
    journal = Journal(folder)
    journal.append("run-started", id="r4", name="digits", stages=[{"name": "a"}, {"name": "b"}])
    wait_for(lambda: heard, "r4 is told")
    journal.append("stage-succeeded", stage="a", attempt=1)
    wait_for(lambda: heard[-1]["rows"][0].get("done") == 1, "its first stage is over")
    journal.close()
    watch.hear({"kind": "close"})
    wait_for(lambda: threads() == 0, "the thread ends")


def test_it_ends_without_a_sign_of_life_and_two_opens_are_one_thread(tmp_path: Path) -> None:
    watch, heard = watching(past_runs(tmp_path, 1), lease=0.3)
    before = threads()
    watch.start()
    watch.start()
    assert threads() == before + 1
    wait_for(lambda: threads() == 0, "the lease ends")
    assert heard == []


def test_new_trials_are_told_with_their_rows_and_deleted_ones_are_not(tmp_path: Path) -> None:
    project = past_runs(tmp_path, 1)
    files = TrialFiles(project)
    trial = Trial(id="", stage="train", kernel="k", source="acc = 1", started=1.0, seconds=1.0, status="succeeded")
    files.write(trial)
    watch, heard = watching(project)
    watch.start()
    wait_for(lambda: watch._newest, "it has looked once")
    assert files.write(msgspec.structs.replace(trial, metrics={"acc": 0.75})) == "t2"
    wait_for(lambda: heard, "t2 is told")
    assert [(row["run"], row["kind"], row["metrics"]) for row in heard[0]["rows"]] == [("t2", "trial", {"acc": 0.75})]
    (files.folder / "t1.json").unlink()
    files.write(trial)
    wait_for(lambda: len(heard) > 1, "t3 is told")
    assert [row["run"] for message in heard[1:] for row in message["rows"]] == ["t3"]
    watch.stop()
    wait_for(lambda: threads() == 0, "the thread ends")
