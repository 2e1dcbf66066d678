"""Runs whose process died: what was finished stays, what was half done is undone, and history is told the truth."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from rig import Answer, Rig, fail

from nbpipe.job.folder import UNDO, VERDICT, write_durably
from nbpipe.model import Event, JobSpec, Outcome
from nbpipe.run import record as records
from nbpipe.run.beside import FOLDER, Lane
from nbpipe.run.journal import JOURNAL, Journal
from nbpipe.run.recovery import recover

_CELLS = ("%%stage a\na = [len('x')]", "%%stage b\nprint(a)")


class _Dies(BaseException):
    """Stands for kill -9: nothing of the run is done after it."""


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, _CELLS)


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def _die_at(rig: Rig, dead: int, kind: str, script: dict[str, list[Answer]] | None = None) -> Path:
    """A run that is killed right after its first event of this kind; its folder."""

    def hear(event: Event) -> None:
        if event.kind == kind:
            raise _Dies

    with pytest.raises(_Dies):
        rig.run(script, hear=hear, jobs=1)
    folder = rig.project.runs / f"r{rig.runs}"
    made = records.Record(
        id=folder.name, notebook="n.ipynb", name="n", version="v", pid=dead, process_started=1, created=1.0
    )
    records.write(folder, made)
    return folder


def _finish_unseen(folder: Path, answer: Answer) -> None:
    """The job goes on without anybody and leaves its verdict."""
    job = folder / "jobs" / "a.1"
    spec = msgspec.json.decode((job / "job.json").read_bytes(), type=JobSpec)
    write_durably(job / VERDICT, msgspec.json.encode(answer(spec)))


def test_an_abandoned_run_becomes_interrupted_once(rig: Rig, dead: int) -> None:
    folder = _die_at(rig, dead, "stage-started")
    assert recover(rig.project, rig.store) == ["r1"]
    assert recover(rig.project, rig.store) == []
    record = records.read(folder)
    assert record is not None
    assert (record.status, record.exit_code) == ("interrupted", 130)
    assert [event.kind for event in rig.events] == ["run-started", "stage-started", "run-finished"]
    assert rig.state.status == "interrupted"


def test_a_run_that_lives_is_left_alone(rig: Rig) -> None:
    folder = _die_at(rig, os.getpid(), "stage-started")
    record = records.read(folder)
    assert record is not None
    record.process_started = records.process_start(os.getpid())
    records.write(folder, record)
    assert recover(rig.project, rig.store) == []
    assert rig.state.status == "running"


def test_a_job_that_finished_unseen_is_a_result(rig: Rig, dead: int) -> None:
    folder = _die_at(rig, dead, "stage-started")
    _finish_unseen(folder, rig.succeed("unseen"))
    recover(rig.project, rig.store)
    rig.run()
    assert rig.submitted == ["b"]
    assert rig.store.load_values(rig.executor.submitted[0].inputs, {}) == {"a": ["a", "unseen"]}


def test_it_is_none_where_a_run_beside_it_wrote_the_same_file(rig: Rig, dead: int) -> None:
    folder = _die_at(rig, dead, "stage-started")
    index = folder / "jobs" / "a.1" / UNDO / "index.jsonl"
    index.parent.mkdir()
    index.write_text(json.dumps({"path": str(rig.root / "out.txt"), "copy": ""}) + "\n")
    _finish_unseen(folder, rig.succeed("unseen"))
    Lane(rig.project.state / FOLDER).wrote([rig.root / "out.txt"])
    recover(rig.project, rig.store)
    rig.run()
    assert rig.submitted == ["a", "b"]


def test_it_is_a_result_only_once(rig: Rig, dead: int) -> None:
    """Killed between its trace and its event."""
    folder = _die_at(rig, dead, "stage-succeeded")
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    (folder / JOURNAL).write_bytes(b"".join(lines[:-1]))
    assert len(list(rig.store.traces.all())) == 1
    recover(rig.project, rig.store)
    assert len(list(rig.store.traces.all())) == 1


@pytest.mark.parametrize("how", ["failed", "foreign", "uncacheable", "half", "gone"])
def test_what_is_not_surely_its_success_is_run_again(rig: Rig, dead: int, how: str) -> None:
    folder = _die_at(rig, dead, "stage-started")

    def foreign(spec: JobSpec) -> Outcome:
        return rig.succeed(token="of another attempt")(spec)  # noqa: S106 - a fencing token is no secret

    answers = {
        "failed": fail(),
        "foreign": foreign,
        "uncacheable": rig.succeed(uncacheable=("it starts another program",)),
        "half": rig.succeed(),
        "gone": rig.succeed(executed="0" * 64),
    }
    _finish_unseen(folder, answers[how])
    if how == "half":
        verdict = folder / "jobs" / "a.1" / VERDICT
        verdict.write_bytes(verdict.read_bytes()[:-20])
    recover(rig.project, rig.store)
    rig.run()
    assert rig.submitted == ["a", "b"]


def test_the_files_of_what_was_in_flight_are_put_back_even_from_a_torn_list(rig: Rig, dead: int) -> None:
    folder = _die_at(rig, dead, "stage-started")
    undo = folder / "jobs" / "a.1" / "undo"
    undo.mkdir()
    (undo / "c").write_text("before")
    (rig.root / "old.txt").write_text("after")
    (rig.root / "new.txt").write_text("after")
    lines = [{"path": str(rig.root / "old.txt"), "copy": "c"}, {"path": str(rig.root / "new.txt"), "copy": ""}]
    (undo / "index.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"path": "/half')
    recover(rig.project, rig.store)
    assert (rig.root / "old.txt").read_text() == "before"
    assert not (rig.root / "new.txt").exists()


@pytest.mark.parametrize("told", [True, False])
def test_what_was_done_to_them_since_is_put_aside(rig: Rig, dead: int, told: bool) -> None:  # noqa: FBT001
    folder = _die_at(rig, dead, "stage-started")
    undo = folder / "jobs" / "a.1" / "undo"
    undo.mkdir()
    (undo / "c").write_text("before")
    names = {"theirs.txt": "c", "new.txt": "", "same.txt": "c"}
    lines = (json.dumps({"path": str(rig.root / name), "copy": copy}) + "\n" for name, copy in names.items())
    (undo / "index.jsonl").write_text("".join(lines))
    if told:
        _finish_unseen(folder, fail())
    for file in (path for path in folder.rglob("*") if path.is_file()):
        os.utime(file, (1, 1))
    for name in names:
        # As `mv` and `cp -p` do, it keeps the time at which it was written.
        (rig.root / name).write_text("before" if name == "same.txt" else f"mine, {name}")
        os.utime(rig.root / name, (0, 0))
    heard: list[str] = []
    recover(rig.project, rig.store, heard.append)
    assert {path.name: path.read_text() for path in (undo / "aside").iterdir()} == {
        "theirs.txt": "mine, theirs.txt",
        "new.txt": "mine, new.txt",
    }
    assert [(rig.root / name).exists() for name in names] == [True, False, True]
    assert (rig.root / "theirs.txt").read_text() == "before"
    assert [text.split()[0] for text in heard] == ["theirs.txt", "new.txt"]
    assert rig.state.warnings == tuple(heard)


def test_the_files_of_what_was_finished_stay(rig: Rig, dead: int) -> None:
    folder = _die_at(rig, dead, "stage-succeeded")
    undo = folder / "jobs" / "a.1" / "undo"
    undo.mkdir()
    (rig.root / "new.txt").write_text("kept")
    (undo / "index.jsonl").write_text(json.dumps({"path": str(rig.root / "new.txt"), "copy": ""}) + "\n")
    recover(rig.project, rig.store)
    assert (rig.root / "new.txt").read_text() == "kept"


def test_a_run_that_died_after_its_last_event_keeps_the_status_it_had(rig: Rig, dead: int) -> None:
    rig.run()
    folder = rig.project.runs / "r1"
    journal = Journal(folder)
    journal.append("run-finished", status="succeeded", exit_code=0, failure=None)
    journal.close()
    (folder / "n.ipynb").write_text("{}")
    records.write(
        folder, records.Record(id="r1", notebook="n.ipynb", name="n", version="v", pid=dead, process_started=1)
    )
    recover(rig.project, rig.store)
    record = records.read(folder)
    assert record is not None
    assert (record.status, record.exit_code) == ("succeeded", 0)
    assert record.executed.endswith("r1/n.ipynb")


def test_the_leases_of_the_dead_are_taken_away_and_those_of_the_living_stay(rig: Rig, dead: int) -> None:
    _die_at(rig, dead, "stage-started")
    mine = rig.store.leases.claim("k" * 64, "r9")
    assert mine is not None
    stale = {"token": "t", "owner": "r1", **json.loads(rig.store.documents.read(mine.name) or b""), "pid": dead}
    rig.store.documents.write("leases/stale.json", json.dumps(stale).encode())
    recover(rig.project, rig.store)
    assert rig.store.documents.names("leases") == [mine.name]
    assert mine.holds()


def test_a_kernel_that_outlived_its_run_is_killed(rig: Rig, dead: int) -> None:
    folder = _die_at(rig, dead, "stage-started")
    kernel = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    (folder / "jobs" / "a.1" / "kernel.pid").write_text(str(kernel.pid))
    recover(rig.project, rig.store)
    assert kernel.wait(5) == -9


def test_a_process_that_got_the_number_of_a_kernel_later_is_not_touched(rig: Rig, dead: int) -> None:
    folder = _die_at(rig, dead, "stage-started")
    noted = folder / "jobs" / "a.1" / "kernel.pid"
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    noted.write_text(str(other.pid))
    os.utime(noted, (1_000_000_000, 1_000_000_000))
    recover(rig.project, rig.store)
    try:
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
