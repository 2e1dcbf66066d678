"""What files held before a run, whichever of its stages tells first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nbpipe.errors import StoreError
from nbpipe.job.folder import UNDO
from nbpipe.job.undo import undo
from nbpipe.model import FileState, Outcome
from nbpipe.pipeline.contents import digest_file
from nbpipe.run.files import Disk
from nbpipe.store import open_store


def _job(folder: Path, file: Path, *, at: int, held: str | None) -> Path:
    """The folder of a job that first wrote `file` at this time, when it held this text."""
    (folder / UNDO).mkdir(parents=True)
    if held is not None:
        (folder / UNDO / "copy").write_text(held)
    entry = {"path": str(file), "copy": "copy" if held is not None else "", "at": at}
    (folder / UNDO / "index.jsonl").write_text(json.dumps(entry) + "\n")
    return folder


@pytest.mark.parametrize("before", [None, "before the run"])
def test_what_another_stage_made_of_a_file_is_not_what_it_was_before_the_run(
    tmp_path: Path, before: str | None
) -> None:
    project = tmp_path / "project"
    file = project / "d.db"
    project.mkdir()
    disk = Disk(lambda path: digest_file(project / path), project, open_store(tmp_path / "store"))
    early = _job(tmp_path / "early", file, at=1, held=before)
    late = _job(tmp_path / "late", file, at=2, held="made by the early one")
    file.write_text("made by both")
    given: Any = {"stage": "late", "attempt": 1, "token": "t", "status": "succeeded"}
    wrote = Outcome(**given, files_written=(FileState(path="d.db", digest="x"),))
    disk.started(late)
    disk.started(early)
    held = digest_file(early / UNDO / "copy") if before else ""
    assert disk.before_run("d.db") == held
    disk.ended(late)
    disk.wrote(wrote, late)
    assert disk.before_run("d.db") == held


def test_what_a_person_wrote_into_a_file_of_a_stage_is_kept_and_said(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    file = tmp_path / "project" / "out.txt"
    file.parent.mkdir()
    file.write_text("of the stage")
    state = FileState(path="out.txt", digest=digest_file(file), object=store.objects.put_file(file))
    older = tmp_path / "older"
    older.write_text("of the stage, earlier")
    store.objects.put_file(older)
    for held, warned in (("of the stage", False), ("of the stage, earlier", False), ("my own", True)):
        file.write_text(held)
        disk = Disk(lambda path: digest_file(file.parent / path), file.parent, store)
        told = disk.restore([state])
        assert file.read_text() == "of the stage"
        assert bool(told) == warned
    kept = Path(told[0].partition("What it held is in ")[2].partition(", until")[0])
    assert kept.read_text() == "my own"


def test_a_folder_that_a_person_made_in_the_place_of_a_file_of_a_stage_stays_and_is_named(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    made = tmp_path / "made"
    made.write_text("of the stage")
    mine = tmp_path / "project" / "out.txt" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    disk = Disk(lambda path: digest_file(tmp_path / "project" / path), tmp_path / "project", store)
    state = FileState(path="out.txt", digest=digest_file(made), object=store.objects.put_file(made))
    with pytest.raises(StoreError, match=r"project/out\.txt is a folder now"):
        disk.restore([state])
    told = undo(_job(tmp_path / "job", mine.parent, at=1, held="before"))
    assert "out.txt is a folder now" in told[0]
    assert [path.read_text() for path in mine.parent.parent.rglob("*.txt") if path.is_file()] == ["mine"]
