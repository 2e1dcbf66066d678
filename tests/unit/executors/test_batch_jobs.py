"""Jobs that a scheduler starts: handed in once, judged by the newest start, stopped wherever they are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbpipe.executors.ssh.there import batch as batches
from nbpipe.executors.ssh.there import keeper, kept, slurm
from nbpipe.executors.ssh.there.agent import Agent
from nbpipe.executors.ssh.there.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

_SAYS_WHERE = "import os, sys; open(sys.argv[1] + '/here', 'w').write(os.environ['GIVEN'])"


@dataclass
class Queue:
    """A scheduler that starts a job when the test says so."""

    handed: list[tuple[str, list[str]]] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    said: tuple[str, str] = ("waiting", "in the queue")
    #: What it says to an array; whether the answer to one gets lost.
    refuses: str = ""
    loses: bool = False

    def submit(self, name: str, work: str, command: list[str], asked: dict[str, Any], hidden: set[str]) -> str:
        assert work in command
        assert set(asked) <= {"kind"}
        assert hidden == {"GIVEN"}
        self.handed.append((name, command))
        return str(len(self.handed))

    def alike(self, asked: dict[str, Any]) -> str:
        return str(asked.get("kind", ""))

    def submit_array(self, name: str, place: str, works: list[str], asked: dict[str, Any], hidden: set[str]) -> str:
        assert (set(asked), hidden) == ({"kind"}, {"GIVEN"})
        Path(place, "works").write_text("\n".join(works))
        if self.refuses:
            raise RuntimeError(self.refuses)
        self.handed.append((name, works))
        if self.loses:
            raise RuntimeError("`sbatch` does not answer")
        return str(len(self.handed))

    def find(self, name: str) -> str:
        return next((str(n) for n, (known, _) in enumerate(self.handed, 1) if known == name), "")

    def state(self, number: str, *, fresh: bool = False) -> tuple[str, str]:
        del fresh  # nothing is remembered here
        assert number == "1"
        return self.said

    def kill(self, number: str) -> None:
        self.killed.append(number)

    def start(self, restart: int = 0) -> None:
        environment = {**os.environ, "SLURM_RESTART_COUNT": str(restart)}
        subprocess.run(self.handed[0][1], env=environment, check=True)


@dataclass
class Made:
    batch: Batch
    queue: Queue
    work: str

    def begin(self, code: str = _SAYS_WHERE) -> None:
        order = {"argv": [sys.executable, "-c", code], "environment": {"GIVEN": "secret"}, "patience": 60.0}
        assert list(self.batch.begin([(self.work, order, {})])) == [(0, "")]

    def several(self, kinds: str) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
        """A job for each letter, which says what it is like."""
        order = {"argv": [sys.executable], "environment": {"GIVEN": "secret"}, "patience": 60.0}
        works = [Path(self.work).parent / "work" / f"e{index}-0" for index in range(len(kinds))]
        for work in works:
            work.mkdir(parents=True, exist_ok=True)
        return [(str(work), order, {"kind": kind.strip()}) for work, kind in zip(works, kinds, strict=True)]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setattr(keeper, "source", Path(keeper.__file__).read_text(), raising=False)
    work = tmp_path / "f00-0"
    (work / "job").mkdir(parents=True)
    (work / "asked").touch()
    spec = {"project": f"{work}/project", "cwd": f"{work}/project/a", "source": "", "stage": "s"}
    (work / "job" / "job.json").write_text(json.dumps(spec))
    queue = Queue()
    return Made(Batch(keeper, queue), queue, str(work))


def test_a_job_is_handed_in_once_even_if_the_answer_was_lost(made: Made) -> None:
    made.begin()
    made.begin()
    Path(made.work, "batch.json").unlink()
    made.begin()
    assert len(made.queue.handed) == 1
    assert Path(made.work, "order.json").stat().st_mode & 0o777 == 0o600
    assert made.batch.state(made.work) == {"state": "running", "begun": False, "start": -1, "why": "in the queue"}


def _ids(jobs: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> list[str]:
    return [json.loads(Path(work, "batch.json").read_text())["id"] for work, _, _ in jobs]


def test_jobs_that_are_alike_are_handed_in_together_and_others_alone(made: Made) -> None:
    jobs = made.several("aba b ")
    assert sorted(made.batch.begin(jobs)) == [(index, "") for index in range(6)]
    named = ["nbpipe-e0-0-and-1-more", "nbpipe-e1-0-and-1-more", "nbpipe-e3-0", "nbpipe-e5-0"]
    names = [name for name, _ in made.queue.handed]
    assert [re.sub("-more-[0-9a-f]{12}$", "-more", name) for name in names] == named
    assert _ids(jobs) == ["1_0", "2_0", "1_1", "3", "2_1", "4"]
    # Again: all are known.
    assert sorted(made.batch.begin(jobs)) == [(index, "") for index in range(6)]
    assert len(made.queue.handed) == 4
    # What an array shares stays until the last of them is home.
    shared = Path(made.work).parent / "arrays" / names[0]
    for work in (jobs[0][0], jobs[2][0]):
        assert shared.exists()
        made.batch.forget(work)
        shutil.rmtree(work)
    assert not shared.exists()


def test_an_array_whose_answer_was_lost_is_found_and_not_handed_in_again(made: Made) -> None:
    made.queue.loses = True
    jobs = made.several("aaa")
    assert sorted(made.batch.begin(jobs)) == [(index, "") for index in range(3)]
    assert _ids(jobs) == ["1_0", "1_1", "1_2"]
    # The agent died before it noted that.
    for work, _, _ in jobs:
        Path(work, "batch.json").unlink()
    assert list(made.batch.begin(jobs[1:2])) == [(0, "")]
    assert _ids(jobs[1:2]) == ["1_1"]
    made.batch.cancel(jobs[2][0], force=True)
    assert made.queue.killed == ["1_2"]
    assert len(made.queue.handed) == 1


def test_a_job_that_another_agent_was_handing_in_is_found_and_absent_only_after_a_while(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert made.batch.state(made.work) == {"state": "absent"}
    made.begin()
    Path(made.work, "batch.json").unlink()
    assert made.batch.state(made.work)["why"] == "in the queue"
    assert json.loads(Path(made.work, "batch.json").read_text()) == {"id": "1"}
    # The clock of the machine that it was to be handed in from is an hour ahead; and it has not answered that one.
    os.utime(Path(made.work, "order.json"), (time.time() + 3600,) * 2)
    Path(made.work, "batch.json").unlink()
    made.queue.handed.clear()
    assert made.batch.state(made.work) == {"state": "running", "begun": False}
    monkeypatch.setattr(batches, "_ANSWER", 0.0)
    monkeypatch.setattr(batches, "_AGAIN", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(made.queue, "find", _fails(patch, {"squeue": "!Unable to contact slurm controller"}).find)
        assert made.batch.state(made.work) == {"state": "running", "begun": False}
    assert made.batch.state(made.work) == {"state": "absent"}


def test_where_arrays_are_refused_each_job_is_handed_in_alone(made: Made) -> None:
    made.queue.refuses = "sbatch says: Invalid job array specification"
    jobs = made.several("aaa")
    assert sorted(made.batch.begin(jobs)) == [(index, "") for index in range(3)]
    assert _ids(jobs) == ["1", "2", "3"]
    # Nothing was said: it may have been taken, and must not be handed in twice.
    for said in ("`sbatch` does not answer", "sbatch says: Batch job submission failed: Socket timed out on send/recv"):
        made.queue.refuses = said
        more = made.several("aaaaa")[3:]
        assert sorted(made.batch.begin(more)) == [(0, said), (1, said)]
        assert len(made.queue.handed) == 3


def test_what_comes_while_a_job_is_handed_in_goes_together(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()
    submit = made.queue.submit

    def slow(*asked: Any) -> str:
        begun.set()
        assert go.wait(20)
        return submit(*asked)

    monkeypatch.setattr(made.queue, "submit", slow)
    told: list[str] = []
    jobs = made.several("aaaa")
    made.batch.take(*jobs[0], told.append)
    assert begun.wait(20)
    for job in jobs[1:]:
        made.batch.take(*job, told.append)
    go.set()
    _until(lambda: len(told) == 4)
    assert told == [""] * 4
    assert _ids(jobs) == ["1", "2_0", "2_1", "2_2"]


def _until(reached: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.01)


class Slow:
    """Has jobs wait in the scheduler's hands."""

    def __init__(self, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.twice, self.go = threading.Event(), threading.Event(), threading.Event()
        self._submit = queue.submit
        monkeypatch.setattr(queue, "submit", self._slow)

    def _slow(self, *asked: Any) -> str:
        (self.twice if self.begun.is_set() else self.begun).set()
        assert self.go.wait(20)
        return self._submit(*asked)


def test_what_is_being_handed_in_when_the_connection_ends_is_noted_and_the_rest_is_not_handed_in(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, told, jobs = Slow(made.queue, monkeypatch), list[str](), made.several("aaaa")
    made.batch.take(*jobs[0], told.append)
    assert slow.begun.wait(20)
    for job in jobs[1:]:
        made.batch.take(*job, told.append)
    ends = threading.Thread(target=made.batch.settle)
    ends.start()
    _until(lambda: made.batch._closing)
    slow.go.set()
    ends.join(20)
    handed = [Path(work, "batch.json").exists() for work, _, _ in jobs]
    assert handed == [True, False, False, False]
    assert [made.batch.ordered(work) for work, _, _ in jobs] == handed
    assert len(made.queue.handed) == 1
    # Of those that were taken together, too: two that differ are two calls.
    made.batch._closing = False
    two, said = made.several("    ab")[4:], []
    for index, wrong in made.batch.begin(two):
        made.batch._closing = True
        said.append((index, wrong))
    assert (said, len(made.queue.handed)) == ([(0, ""), (1, "")], 2)
    assert [made.batch.ordered(work) for work, _, _ in two] == [True, False]


def test_two_agents_hand_a_job_in_once_whoever_is_slow(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, told, jobs = Slow(made.queue, monkeypatch), list[str](), made.several("a")
    other = Batch(keeper, made.queue)
    made.batch.take(*jobs[0], told.append)
    assert slow.begun.wait(20)
    other.take(*jobs[0], told.append)
    assert not slow.twice.wait(0.3)
    slow.go.set()
    _until(lambda: len(told) == 2)
    assert (told, len(made.queue.handed)) == (["", ""], 1)


def _cancelled(work: str) -> bool:
    Path(work, "cancel").touch()
    return True


def test_a_job_that_is_cancelled_before_or_while_it_is_handed_in_does_not_stay_in_the_queue(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, told, jobs = Slow(made.queue, monkeypatch), list[str](), made.several("aa")
    more = made.several("    aa")[4:]
    prepared = made.batch._prepared
    # Just before the scheduler is told of both.
    with monkeypatch.context() as patch:
        patch.setattr(made.batch, "_prepared", lambda work, order: prepared(work, order) and _cancelled(work))
        assert list(made.batch.begin(more)) == [(0, ""), (1, "")]
    assert made.queue.handed == []
    Path(jobs[0][0], "cancel").touch()
    made.batch.take(*jobs[0], told.append)
    _until(lambda: told == [""])
    assert made.batch.state(jobs[0][0]) == {"state": "exited", "code": 130}
    made.batch.take(*jobs[1], told.append)
    assert slow.begun.wait(20)
    Path(jobs[1][0], "cancel").touch()
    made.batch.cancel(jobs[1][0], force=True)
    assert made.queue.killed == []
    slow.go.set()
    _until(lambda: len(told) == 2)
    assert [work for _, (_, _, work) in made.queue.handed] == [jobs[1][0]]
    assert made.queue.killed == ["1"]


def test_the_start_that_runs_says_which_job_it_is_and_both_are_killed(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.begin("import os, sys; open(sys.argv[1] + '/here', 'w').write(os.environ.get('NBPIPE_NUMBER', 'nothing'))")
    monkeypatch.setenv("NBPIPE_NUMBER", "7_3")
    made.queue.start()
    assert Path(made.work, "0", "job", "here").read_text() == "nothing"
    Path(made.work, "0", "rc.json").unlink()
    monkeypatch.setattr(made.queue, "state", lambda number: ("ended", number))
    monkeypatch.setattr(batches, "_LATE", -1.0)
    assert made.batch.state(made.work) == {"state": "lost", "why": "7_3"}
    made.batch.cancel(made.work, force=True)
    assert made.queue.killed == ["7_3", "1"]


@pytest.mark.parametrize("array", [True, False])
def test_what_slurm_starts_is_told_its_number(tmp_path: Path, *, array: bool) -> None:
    says = tmp_path / "says"
    says.write_text('#!/bin/sh\necho "$NBPIPE_NUMBER" "$SLURM_ARRAY_TASK_ID" "$2"\n')
    says.chmod(0o755)
    (tmp_path / "works").write_text("/a\n/b\n")
    (tmp_path / "batch.sh").write_text(slurm._ARRAY if array else slurm._SCRIPT)
    given = {**os.environ, "SLURM_JOB_ID": "9"}
    given |= {"SLURM_ARRAY_JOB_ID": "8", "SLURM_ARRAY_TASK_ID": "1"} if array else {}
    words = ["sh", str(tmp_path / "batch.sh"), str(says), *([str(tmp_path / "works")] if array else ["k", "/b"])]
    said = subprocess.run(words, env=given, check=True, capture_output=True, text=True).stdout
    assert said.split() == ["8_1" if array else "9", "/b"]


def test_the_end_of_an_element_is_asked_for_and_not_that_of_the_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "squeue").write_text(
        '#!/bin/sh\ncase "$*" in *--jobs=8_1) ;; *) echo 2026-11-22T14:05:00 ;; esac\necho 2026-11-22T14:00:00\n'
    )
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    assert keeper._ends("8_1") == str(time.mktime((2026, 11, 22, 14, 0, 0, 0, 0, -1)))


def test_an_agent_that_is_killed_while_it_notes_an_array_loses_none_of_it(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, note = made.several("aaa"), keeper.note

    def dies(path: str, data: dict[str, Any], **more: Any) -> bool:
        if path == jobs[1][0] + "/batch.json":
            raise SystemExit
        return note(path, data, **more)

    with monkeypatch.context() as patch:
        patch.setattr(keeper, "note", dies)
        with pytest.raises(SystemExit):
            list(made.batch.begin(jobs))

    def silent(name: str) -> str:
        raise RuntimeError(f"squeue says: nothing of {name}")

    monkeypatch.setattr(made.queue, "find", silent)
    monkeypatch.setattr(made.queue, "state", lambda number: ("running", number))
    again = Batch(keeper, made.queue)
    assert [again.state(work)["why"] for work, _, _ in jobs] == ["1_0", "1_1", "1_2"]


def test_a_job_is_no_element_of_an_array_that_lists_another_in_its_place(made: Made) -> None:
    jobs = made.several("aaaaa")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made.queue, "submit_array", lambda *_: sys.exit())
        with pytest.raises(SystemExit):
            list(made.batch.begin(jobs[:3]))
    # Its agent died before Slurm heard of it: some come again, one later.
    assert sorted(made.batch.begin([jobs[0], jobs[3], jobs[4]])) == [(index, "") for index in range(3)]
    assert list(made.batch.begin([jobs[1]])) == [(0, "")]
    assert _ids([jobs[0], jobs[3], jobs[4], jobs[1]]) == ["1_0", "1_1", "1_2", "2"]
    array = json.loads(Path(jobs[3][0], "array.json").read_text())
    Path(jobs[2][0], "array.json").write_text(json.dumps({**array, "index": 1}))
    assert (made.batch._found(jobs[3][0]), made.batch._found(jobs[2][0])) == ("1_1", "")


def test_one_folder_that_is_gone_fails_alone_and_its_element_is_taken_back(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, submit = made.several("aaa"), made.queue.submit_array

    def removes(*asked: Any) -> str:
        shutil.rmtree(jobs[1][0])
        return submit(*asked)

    def busy(number: str) -> None:
        made.queue.killed.append(number)
        raise subprocess.TimeoutExpired("scancel", 60)

    monkeypatch.setattr(made.queue, "kill", busy)
    monkeypatch.setattr(made.queue, "submit_array", removes)
    found = dict(made.batch.begin(jobs))
    assert (found[0], found[2]) == ("", "")
    assert "No such file" in found[1]
    assert made.queue.killed == ["1_1"]
    assert _ids([jobs[0], jobs[2]]) == ["1_0", "1_2"]


def test_each_start_works_in_a_folder_of_its_own_and_the_newest_counts(made: Made) -> None:
    made.begin()
    made.queue.start()
    assert made.batch.state(made.work) == {"state": "exited", "code": 0}
    assert Path(made.work, "0", "job", "here").read_text() == "secret"
    spec = json.loads(Path(made.work, "0", "job", "job.json").read_text())
    assert (spec["project"], spec["cwd"]) == (f"{made.work}/0/project", f"{made.work}/0/project/a")
    # It had ended after all: nothing is left to do for a second start.
    made.queue.start(restart=1)
    assert made.batch.start_of(made.work) == (0, f"{made.work}/0")
    # As from a node that went on though it was given up, and has not ended yet when the second starts.
    Path(made.work, "0", "rc.json").unlink()
    made.queue.start(restart=1)
    Path(made.work, "0", "rc.json").write_text('{"code": 1}')
    assert made.batch.start_of(made.work)[0] == 1
    assert made.batch.state(made.work) == {"state": "exited", "code": 0}


def test_where_nobody_counts_starts_each_is_newer_than_the_last(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBPIPE_START", "next")
    made.begin()
    for number in range(2):
        made.queue.start()
        assert made.batch.start_of(made.work)[0] == number
        Path(made.work, str(number), "rc.json").unlink()


def test_a_start_that_finds_the_verdict_of_an_earlier_one_has_no_kernel_for_a_mended_cell(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBPIPE_START", "next")
    made.begin()
    made.queue.start()
    made.queue.said = ("running", "a pod that has nothing to do")
    kept = Path(made.work, "0", "job", "kept.json")
    kept.touch()
    assert made.batch.gone_by(made.work, fresh=True) == ""
    made.queue.start()
    assert (kept.exists(), made.batch.start_of(made.work)[0]) == (False, 0)
    assert "was lost or taken away" in made.batch.gone_by(made.work, fresh=True)


@pytest.mark.parametrize("kept", [True, False])
def test_a_kernel_waits_no_longer_than_its_pod_may_run(
    made: Made, monkeypatch: pytest.MonkeyPatch, *, kept: bool
) -> None:
    monkeypatch.setenv("NBPIPE_LASTS", "720.0")
    job = Path(made.work, "job", "job.json")
    job.write_text(json.dumps({**json.loads(job.read_text()), "keep_failed": 600.0 if kept else 0.0}))
    shown = "{name: os.environ.get(name) for name in ('NBPIPE_ENDS', 'NBPIPE_LASTS')}"
    made.begin(f"import json, os, sys; json.dump({shown}, open(sys.argv[1] + '/here', 'w'))")
    before = time.time()
    made.queue.start()
    said = json.loads(Path(made.work, "0", "job", "here").read_text())
    assert said["NBPIPE_LASTS"] is None
    assert before + 720 <= float(said["NBPIPE_ENDS"]) <= time.time() + 720 if kept else said["NBPIPE_ENDS"] is None


def test_that_nobody_says_how_a_job_is_is_told_once_it_lasts_and_ends_nothing(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.begin()
    Path(made.work, "0").mkdir()
    Path(made.work, "0", "runner.json").touch()
    made.queue.said = ("unknown", "connection refused")
    running = {"state": "running", "begun": True, "start": 0}
    assert made.batch.state(made.work) == {**running, "why": ""}
    monkeypatch.setattr(batches, "_SILENT", 0.0)
    assert made.batch.state(made.work) == {
        **running,
        "why": "nobody says how the job is, it may be running: connection refused",
    }
    made.queue.said = ("running", "on n1")
    assert made.batch.state(made.work) == {**running, "why": ""}
    # What lies in the folder counts, whoever answers.
    made.queue.said = ("unknown", "connection refused")
    made.batch.state(made.work)
    assert made.batch.state(made.work)["why"].startswith("nobody says")
    Path(made.work, "0", "rc.json").write_text('{"code": 0}')
    assert made.batch.state(made.work) == {"state": "exited", "code": 0}
    assert made.batch._silent == {}


def test_a_job_that_waits_is_taken_out_of_the_queue_and_does_not_begin_any_more(made: Made) -> None:
    made.begin()
    Path(made.work, "cancel").touch()
    made.batch.cancel(made.work, force=False)
    assert made.queue.killed == ["1"]
    assert made.batch.state(made.work) == {"state": "exited", "code": 130}
    made.queue.start()
    assert made.batch.start_of(made.work)[0] == -1


def test_a_job_whose_number_was_lost_is_killed_by_its_name(made: Made) -> None:
    made.begin()
    Path(made.work, "batch.json").unlink()
    made.batch.cancel(made.work, force=True)
    assert made.queue.killed == ["1"]


def test_a_job_whose_folder_is_removed_ends(made: Made, tmp_path: Path) -> None:
    made.begin("import time; time.sleep(60)")
    node = subprocess.Popen(made.queue.handed[0][1], env={**os.environ, "SLURM_RESTART_COUNT": "0"})
    while not Path(made.work, "0", "runner.json").exists():
        assert node.poll() is None
        time.sleep(0.02)
    runner = json.loads(Path(made.work, "0", "runner.json").read_text())["pid"]
    # At once, whatever is being written in it.
    Path(made.work).rename(tmp_path / "removed")
    assert node.wait(30) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(runner, 0)


def test_a_job_that_ends_without_a_word_is_lost_once_its_files_had_time_to_be_seen(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.begin()
    made.queue.said = ("ended", "NODE_FAIL")
    assert made.batch.state(made.work)["state"] == "running"
    monkeypatch.setattr(batches, "_LATE", 0.0)
    assert made.batch.state(made.work) == {"state": "lost", "why": "NODE_FAIL"}


def test_one_that_does_not_stop_in_time_is_killed(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_GRACE", 0.0)
    made.begin()
    Path(made.work, "0").mkdir()
    made.batch.cancel(made.work, force=False)
    assert made.queue.killed == []
    made.batch.state(made.work)
    assert made.queue.killed == ["1"]
    assert made.batch.state(made.work) == {"state": "exited", "code": -9}


def test_the_agent_reads_and_sends_what_the_newest_start_wrote(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = _agent(made, tmp_path)
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(agent, "_say", said.append)
    for number, text in ((0, b"old and long\n"), (1, b"new\n")):
        Path(made.work, str(number), "job").mkdir(parents=True)
        Path(made.work, str(number), "job", "log.jsonl").write_bytes(text)
    agent.do_watch("f00-0", offset=13, start=0)
    assert agent._send_log("f00-0")
    assert (said[-1]["start"], said[-1]["at"]) == (1, 0)
    assert agent.do_read("f00-0", "log.jsonl") == "bmV3Cg=="


def _agent(made: Made, root: Path) -> Agent:
    agent = Agent(keeper, None, None, kept=kept)
    agent._root, agent._batch = str(root), made.batch
    (root / "work").symlink_to(root)
    return agent


@pytest.mark.parametrize(
    ("said", "takes", "why"),
    [
        (("running", "on n1"), 1, ""),
        (("running", "on n1"), 0, "did not take"),
        (("waiting", "requeued"), 0, "requeued"),
        (("ended", "Slurm says NODE_FAIL"), 1, "NODE_FAIL"),
    ],
)
def test_a_kernel_that_waits_in_its_newest_start_goes_on_only_where_the_scheduler_says_that_it_runs(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: tuple[str, str], takes: int, why: str
) -> None:
    monkeypatch.setattr(keeper, "_TAKEN", 0.3)
    made.begin()
    agent, work = _agent(made, tmp_path), Path(made.work)
    for number, token in ((0, "lost"), (1, "failed")):
        (work / str(number) / "job").mkdir(parents=True)
        (work / str(number) / "job" / "kept.json").write_text(json.dumps({"token": token}))
        (work / str(number) / "job" / "job.json").write_text(json.dumps({"token": token}))
    (work / "1" / "rc.json").write_text('{"code": 1}')
    made.queue.said = said
    assert agent._kernels().names() == (["f00-0"] if said[0] == "running" else [])
    note = keeper.note

    def taking(path: str, data: dict[str, Any], **more: Any) -> bool:
        done = note(path, data, **more)
        if takes and path.endswith("/1/job/continue.json"):
            Path(path).unlink()
            (work / "1" / "job" / "kept.json").unlink()
        return done

    monkeypatch.setattr(keeper, "note", taking)
    spec = {"token": "mended", "continues": "f00-0", "first": 1, "cells": []}
    found = agent.do_resume("f00-0", spec)
    assert why in found
    if why:
        assert made.queue.killed == ["1"]
        assert not work.exists()
    else:
        assert found == ""
        assert made.batch.state(made.work)["state"] == "running"
        # Were it started again, it would be this attempt, from its first cell.
        again = json.loads((work / "job" / "job.json").read_text())
        assert (again["token"], again["continues"], again["first"]) == ("mended", "", 0)


def _fails(monkeypatch: pytest.MonkeyPatch, says: dict[str, str]) -> slurm.Scheduler:
    """A Slurm whose commands print this, or fail with what stands after `!`."""

    def call(words: list[str], environment: Any = None) -> str:
        del environment
        said = says[words[0]]
        if said.startswith("!"):
            raise RuntimeError(f"{words[0]} says: {said[1:]}")
        return said

    monkeypatch.setattr(slurm, "_call", call)
    return slurm.Scheduler({})


def test_a_kernel_of_which_the_scheduler_says_nothing_is_left_and_released_all_the_same(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.begin()
    agent, work = _agent(made, tmp_path), Path(made.work)
    (work / "0" / "job").mkdir(parents=True)
    (work / "0" / "job" / "kept.json").write_text("{}")
    (work / "0" / "rc.json").write_text('{"code": 1}')
    down = _fails(monkeypatch, dict.fromkeys(("squeue", "sacct"), "!Unable to contact slurm controller"))
    monkeypatch.setattr(made.queue, "state", down.state)
    spec = {"token": "mended", "continues": "f00-0", "first": 1, "cells": []}
    with pytest.raises(batches.Unsaid, match="Unable to contact"):
        agent.do_resume("f00-0", spec)
    assert (work.exists(), made.queue.killed) == (True, [])
    monkeypatch.setattr(keeper, "_TAKEN", 0.1)
    assert agent.do_release() == ["f00-0"]
    assert (work.exists(), made.queue.killed) == (False, ["1"])


def test_an_accounting_that_does_not_answer_hides_nothing_that_the_queue_says(monkeypatch: pytest.MonkeyPatch) -> None:
    says = {"squeue": "2|NODE_FAIL|None|n1\n", "sacct": "!Slurm accounting storage is disabled"}
    scheduler = _fails(monkeypatch, says)
    scheduler._known = dict.fromkeys(("1", "2"), (0.0, "running", ""))
    assert scheduler.state("2") == ("ended", "Slurm says NODE_FAIL of job 2 on n1")
    # The queue has answered, and does not know it: it has ended, minutes ago.
    why = "Slurm does not know job 1 any more, and sacct says: Slurm accounting storage is disabled"
    assert scheduler.state("1") == ("ended", why)
    says["sacct"] = ""
    assert scheduler.state("1", fresh=True) == ("ended", "Slurm does not know job 1 any more")
