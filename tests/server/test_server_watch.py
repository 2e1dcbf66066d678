"""What the server tells of several projects, and what it does not say of the machine's disk."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from histories import past_runs
from lab import wait_for

from nbpipe.history import query
from nbpipe.run.project import Project
from nbpipe.server import changes
from nbpipe.server.changes import Changes
from nbpipe.server.places import Place


def test_what_is_wrong_with_one_project_does_not_keep_the_others_from_being_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = (Project(tmp_path / name) for name in ("good", "bad"))
    for project in (good, bad):
        project.root.mkdir()
        past_runs(project.root, 1)
    told: list[dict[str, Any]] = []
    watching = Changes(told.append, interval=0.02)

    def detail(project: Project, run: str) -> Any:
        if project == bad:
            raise OSError(5, "the disk does not answer")
        return real(project, run)

    real = query.detail
    monkeypatch.setattr(changes, "detail", detail)
    try:
        watching.look_at(bad, "bad")
        watching.look_at(good, "good")
        for project in (bad, good):
            shutil.copytree(project.runs / "r1", project.runs / "r2")
        wait_for(lambda: any(event["run"] == "r2" for event in told), "the good one is told of")
        wait_for(lambda: "bad is not watched any more" in caplog.text, "what is wrong is in the server's log")
        assert {event["project"] for event in told} == {"good"}
        # Asked about again, it is watched again.
        monkeypatch.setattr(changes, "detail", real)
        watching.look_at(bad, "bad")
        time.sleep(0.1)
        shutil.copytree(bad.runs / "r1", bad.runs / "r3")
        wait_for(lambda: any(event["project"] == "bad" for event in told), "the bad one is told of again")
    finally:
        watching.stop()


@pytest.mark.parametrize("where", ["inside the lab", "above it"])
def test_messages_name_no_folder_of_the_disk_that_the_lab_does_not_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "me"))
    above = where == "above it"
    root = tmp_path / "home" / "me" / "projects" / "lab"
    project = root.parent if above else root / "one"
    place = Place("one/n.ipynb", root / "one" / "n.ipynb", root, Project(project))
    for said, shown in (
        (f"{place.file} does not exist", "one/n.ipynb does not exist"),
        (f"cell 1 of {place.file}.", "cell 1 of one/n.ipynb."),
        (f"no run in {root}.", "no run in .."),
        (f"no run in {root}: none", "no run in .: none"),
        (f"{root}/data/a.csv", "data/a.csv"),
        (f"{root}2/n.ipynb", "…/lab2/n.ipynb" if above else "~/projects/lab2/n.ipynb"),
        (f"{tmp_path}/home/me/.cache/nbpipe/x", "~/.cache/nbpipe/x"),
        (f"{project}/.nbpipe/store is full", "…/.nbpipe/store is full" if above else "one/.nbpipe/store is full"),
        (f"there is no run r7 in {project}.", "there is no run r7 in …." if above else "there is no run r7 in one."),
    ):
        assert place.told(said) == shown
        assert str(tmp_path) not in place.told(said)
