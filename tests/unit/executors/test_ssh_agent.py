"""What lies on the other machine in a state that nobody wished for keeps no agent from its work."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nbpipe.errors import StoreError
from nbpipe.executors.ssh.packages import packages_of
from nbpipe.executors.ssh.there import agent as agents
from nbpipe.executors.ssh.there import environment, facts, keeper, kept, objects
from nbpipe.executors.ssh.there.agent import Agent
from nbpipe.store.base import hash_file
from nbpipe.store.shared import SharedObjects


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    made = Agent(keeper, facts, objects)
    made.do_root(str(tmp_path))
    return made


@pytest.mark.parametrize("kind", ["work", "checkpoints", "arrays"])
def test_what_is_collected_while_it_is_looked_at_is_no_reason_to_refuse_a_connection(
    agent: Agent, tmp_path: Path, kind: str
) -> None:
    # As a folder is that goes away between the list of names and the look at each.
    (tmp_path / kind).mkdir(exist_ok=True)
    (tmp_path / kind / "gone-0").symlink_to(tmp_path / "nowhere")
    assert agent.do_root(str(tmp_path)) == str(tmp_path)


def test_the_rounds_of_an_attempt_are_found_among_folders_that_an_agent_died_making(
    agent: Agent, tmp_path: Path
) -> None:
    for name in ("a1-0", "a1-10", "a1-2", "a1-3.4711", "a12-0"):
        (tmp_path / "work" / name).mkdir()
    assert agent.do_find("a1") == ["a1-0", "a1-2", "a1-10"]


_TAKES = """import runpy, sys
lock = runpy.run_path(sys.argv[1])["lock"]
sys.stdin.readline()
held = lock(sys.argv[2], shared=False)
print(held is not None, flush=True)
sys.stdin.read()
"""


def test_a_device_is_free_or_held_by_an_attempt_and_never_both(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of no other process that runs this test; and a keeper, unlike this process, has no lock but on its device.
    names = [f"test-{os.getpid()}-{number}" for number in range(2)]
    monkeypatch.setattr(facts, "devices", lambda _: names)
    words = [sys.executable, "-c", _TAKES, keeper.__file__, names[0]]
    first = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    tell, hear = first.stdin, first.stdout
    assert tell is not None
    assert hear is not None
    for token, pid in (("a1", first.pid), ("a2", 1)):
        (tmp_path / "work" / f"{token}-0").mkdir()
        keeper.note(str(tmp_path / "work" / f"{token}-0" / "keeper.json"), {"pid": pid})

    def room() -> tuple[int, list[str]]:
        found = agent.do_room("a3", "", None, 1.0, ["a1", "a2", "a4"])
        return found["free"], found["begun"]

    taken: list[str] = []

    def looked(device: str, *, shared: bool) -> bool:
        """As it has been found free, a1 takes it."""
        found = free(device, shared=shared)
        if not taken:
            print("take", file=tell, flush=True)
            taken.append(hear.readline())
        return found

    free = keeper._could_be_had
    with first, monkeypatch.context() as patch:
        assert room() == (2, [])
        patch.setattr(keeper, "_could_be_had", looked)
        assert room() == (1, ["a1"])
        tell.close()
        first.wait()
        assert room() == (2, [])
    assert taken == ["True\n"]


@pytest.mark.parametrize("job", ["../x", "a/b", "", ".", "a\0"])
def test_a_job_is_named_by_its_token(agent: Agent, job: str) -> None:
    with pytest.raises(ValueError, match="not the name of a job"):
        agent.do_drop(job)


def _swept(agent: Agent) -> None:
    assert agent._builds is not None
    agent._builds.sweeping.join(60)


def _built(root: Path, name: str, days: float) -> Path:
    """An environment that was last used so long ago."""
    place = root / "environments" / name
    place.mkdir(parents=True)
    for path in (place / "nbpipe.whole", place.with_name(f"{name}.lock")):
        path.touch()
        os.utime(path, (time.time() - days * 86400,) * 2)
    return place


def test_environments_are_kept_while_they_are_used_and_then_a_few_of_them_for_a_month(tmp_path: Path) -> None:
    for number in range(7):
        _built(tmp_path, f"e{number}", 2 + number)
    _built(tmp_path, "today", 0.5)
    _built(tmp_path, "old", 31)
    half = tmp_path / "environments" / "half"
    half.mkdir()
    os.utime(half, (1, 1))
    building = _built(tmp_path, "building", 60)
    with building.with_name("building.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        gone = environment.sweep(str(tmp_path), {"e6"})
    assert sorted(gone) == ["e4", "e5", "half", "old"]
    left = sorted(path.name for path in (tmp_path / "environments").iterdir())
    kept = ["e0", "e1", "e2", "e3", "e6", "today"]
    assert left == sorted([*kept, *(f"{name}.lock" for name in kept), "building", "building.lock"])
    assert environment.sweep(str(tmp_path), set()) == ["e6", "building"]


def test_no_environment_is_removed_that_a_job_or_another_client_has(tmp_path: Path) -> None:
    first, second = (Agent(keeper, facts, objects, environment) for _ in range(2))
    first.do_root(str(tmp_path))
    _swept(first)
    for name in ("named", "running", "ended"):
        _built(tmp_path, name, 40)
    while not (python := first.do_build("named", "3.11", [], "")):
        time.sleep(0.01)
    assert python == f"{tmp_path}/environments/named/bin/python"
    os.utime(tmp_path / "environments" / "named" / "nbpipe.whole", (1, 1))
    for job, name in (("a1-0", "running"), ("a2-0", "ended")):
        work = tmp_path / "work" / job
        work.mkdir()
        keeper.note(f"{work}/environment.json", {"name": name})
        keeper.note(
            f"{work}/keeper.json", {"pid": os.getpid(), "start": keeper.started(os.getpid()), "boot": keeper.boot_id()}
        )
    keeper.note(str(tmp_path / "work" / "a2-0" / "rc.json"), {"code": 0})
    second.do_root(str(tmp_path))
    _swept(second)
    assert environment.names(str(tmp_path)) == ["running", "named"]


def test_the_python_that_jobs_have_is_asked_for_the_shared_store(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    asked = tmp_path / "asked"
    asked.write_bytes(b"asks")
    name, place = hash_file(asked), str(tmp_path / "place")
    assert SharedObjects(place).put({name: asked}) == {}
    found = agent.do_share(place, name, {}, 60.0, built=False)
    assert found["code"] == 0
    assert SharedObjects(place).sizes([found["said"]])
    lost = agent.do_share(place, "0" * 64, {}, 60.0, built=False)
    assert lost["code"] == StoreError.exit_code
    assert "is not in" in lost["said"]
    assert "timed out" in agent.do_share(place, name, {}, 0.0, built=False)["said"]


def test_what_a_url_needs_is_installed_where_it_is_installed_here() -> None:
    pytest.importorskip("s3fs")
    assert any(line.startswith("s3fs==") for line in packages_of({}, "s3://bucket/a").requirements)
    assert not any(line.startswith("s3fs==") for line in packages_of({}, "/shared").requirements)


@pytest.mark.parametrize("when", ["beside the first", "as it is taken"])
def test_of_two_runs_that_order_the_same_kernel_one_is_told_that_it_has_it(tmp_path: Path, when: str) -> None:
    told: dict[str, object] = {}
    job = tmp_path / "job"
    job.mkdir()
    keeper.note(f"{job}/job.json", {"token": "failed"})
    keeper.note(f"{job}/kept.json", {"token": "failed"})

    def order(token: str) -> None:
        try:
            told[token] = keeper.ordered(str(tmp_path), {"token": token}, lambda: "")
        except RuntimeError as error:
            told[token] = str(error)

    def given() -> str:
        path = job / "continue.json"
        return str(json.loads(path.read_text())["token"]) if path.exists() else ""

    first = threading.Thread(target=order, args=("a",))
    first.start()
    while given() != "a":
        time.sleep(0.001)
    second = threading.Thread(target=order, args=("b",))
    if when == "beside the first":
        second.start()
        second.join()
        assert given() == "a"
    # As the runner takes it: the order, then what it says of itself, and last of all that it waits no more.
    (job / "continue.json").rename(job / ".continue.json")
    if when == "as it is taken":
        second.start()
        second.join()
    keeper.note(f"{job}/job.json", json.loads((job / ".continue.json").read_text()))
    (job / "kept.json").unlink()
    first.join()
    second.join()
    assert told["b"] == "another run goes on in its kernel"
    assert given() == ""
    assert told["a"] is True


@pytest.mark.parametrize("kept", [{}, {"token": "failed", "index": 2}, {"token": "failed", "index": 1}])
def test_what_came_of_a_run_in_a_kernel_is_not_removed_for_another_that_comes_too_late(
    tmp_path: Path, kept: dict[str, object]
) -> None:
    job = tmp_path / "job"
    job.mkdir()
    keeper.note(f"{job}/job.json", {"token": "a"})
    keeper.note(f"{tmp_path}/rc.json", {"code": 0})
    # Its kernel has ended; or it failed again, further down; or just where the first had.
    if kept:
        keeper.note(f"{job}/kept.json", kept)
        assert kept["index"] == 2 or keeper._first_to_go_on(str(tmp_path), "failed", "a")
    with pytest.raises(RuntimeError, match="another run"):
        keeper.ordered(str(tmp_path), {"token": "b", "first": 1}, lambda: "")
    assert keeper.read(f"{tmp_path}/rc.json") == {"code": 0}
    assert not (job / "continue.json").exists()
    # Who may, still can.
    assert not kept or keeper._first_to_go_on(str(tmp_path), "failed", "a")


def test_the_clock_may_be_set_while_a_job_runs_and_a_job_that_waits_for_a_device_is_forgotten_as_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "asked").touch()
    asked = keeper._Asked(str(tmp_path), 3600.0)
    with monkeypatch.context() as patch:
        now = time.time() + 1e6
        patch.setattr(time, "time", lambda: now)
        assert not asked.forgotten()
    later = time.monotonic() + 3601
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert asked.forgotten()
    assert keeper._hold(str(tmp_path), (1.0, []), asked) == ([], [])
    os.utime(tmp_path / "asked", (1.0, 1.0))
    assert not asked.forgotten()


def test_a_folder_that_cannot_be_read_costs_no_other_job_its_news_and_is_not_waited_for_without_end(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(agent, "_say", said.append)
    (tmp_path / "work" / "odd-0" / "job" / "log.jsonl").mkdir(parents=True)
    (tmp_path / "work" / "t-0" / "job").mkdir(parents=True)
    for job in ("odd-0", "t-0"):
        keeper.note(f"{tmp_path}/work/{job}/rc.json", {"code": 0})
        (tmp_path / "work" / job / "asked").touch()
        agent.do_watch(job, offset=0)
    agent._tell()
    assert said == [{"job": "t-0", "state": "exited", "code": 0}]
    monkeypatch.setattr(agents, "_UNREAD", 0.0)
    agent._tell()
    assert (said[-1]["job"], said[-1]["state"]) == ("odd-0", "lost")
    assert "IsADirectoryError" in said[-1]["why"]
    agent._tell()
    assert len(said) == 2


def test_a_folder_that_could_not_be_made_is_not_left(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: str, *_: object) -> None:
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr(keeper, "note", full)
    given: dict[str, Any] = {
        "files": {"job.json": "{}"},
        "environment": {},
        "gpus": 0.0,
        "devices": None,
        "patience": 60.0,
    }
    with pytest.raises(OSError, match="No space"):
        agent.do_start("t-0", asked={}, python="/e/abc/bin/python", **given)
    assert list((tmp_path / "work").iterdir()) == []


def test_a_job_whose_end_could_not_be_noted_was_lost_for_want_of_space(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work" / "t-0").mkdir()
    keeper.note(f"{tmp_path}/work/t-0/keeper.json", {"pid": 1, "start": 1, "boot": "another"})
    assert agent._state("t-0") == {"state": "lost"}
    full = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert agent._state("t-0") == {"state": "lost", "why": f"no space is left in {tmp_path}"}


def test_after_another_start_of_the_machine_the_number_of_a_kernel_is_somebody_elses(
    agent: Agent, tmp_path: Path
) -> None:
    (tmp_path / "work" / "t-0" / "job").mkdir(parents=True)
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        (tmp_path / "work" / "t-0" / "job" / "kernel.pid").write_text(str(other.pid))
        keeper.note(f"{tmp_path}/work/t-0/keeper.json", {"pid": other.pid, "start": 1, "boot": "another"})
        assert agent._state("t-0") == {"state": "lost"}
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.2)
    finally:
        other.kill()
        other.wait()


def test_who_orders_a_kernel_again_as_the_answer_was_lost_has_it(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    keeper.note(f"{tmp_path}/job/job.json", {"token": "failed"})
    keeper.note(f"{tmp_path}/job/kept.json", {"token": "failed"})
    keeper.note(f"{tmp_path}/job/continue.json", {"token": "a"})

    def gone() -> str:
        keeper.note(f"{tmp_path}/job/job.json", {"token": "a"})
        return "it went on, and has ended"

    assert keeper.ordered(str(tmp_path), {"token": "a"}, gone) is True


class Waiting:
    """A kernel that waits, as far as its folder says; `ended` are jobs that somebody has ended."""

    def __init__(self, root: Path) -> None:
        self.job = root / "work" / "t-0" / "job"
        self.ended: list[str] = []
        self.job.mkdir(parents=True)
        me = {"pid": os.getpid(), "start": keeper.started(os.getpid()), "boot": keeper.boot_id()}
        keeper.note(f"{self.job.parent}/keeper.json", me)
        (self.job.parent / "asked").touch()
        for name in ("job", "kept"):
            keeper.note(f"{self.job}/{name}.json", {"token": "failed"})
        self.kernels = kept.Kernels(str(root), keeper, None, self.ended.append)

    def await_order(self, token: str) -> None:
        """Until an order of this token lies there."""
        until = time.monotonic() + 120
        while keeper.read(f"{self.job}/continue.json").get("token") != token:
            assert time.monotonic() < until
            time.sleep(0.001)

    def take(self) -> None:
        """The first that the runner does with an order."""
        (self.job / "continue.json").rename(self.job / ".continue.json")

    def obey(self) -> None:
        """The last."""
        keeper.note(f"{self.job}/job.json", keeper.read(f"{self.job}/.continue.json"))
        (self.job / "kept.json").unlink()


def test_a_kernel_that_another_run_has_ordered_is_not_ended_for_who_comes_second(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    keeper.note(f"{waiting.job}/continue.json", {"token": "a"})
    assert waiting.kernels.resume("t-0", {"token": "b"}) == "another run goes on in its kernel"
    assert waiting.kernels.release("") == []
    assert waiting.ended == []


def test_a_kernel_in_which_a_run_goes_on_meanwhile_is_not_released(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        resumed = pool.submit(waiting.kernels.resume, "t-0", {"token": "a"})
        waiting.await_order("a")
        waiting.take()
        # It waits still, for all that its folder says.
        released = pool.submit(waiting.kernels.release, "")
        waiting.await_order("end")
        waiting.obey()
        assert (resumed.result(20), released.result(20)) == ("", [])
    assert waiting.ended == []
    assert not (waiting.job / "continue.json").exists()


def test_in_a_kernel_that_is_released_no_run_goes_on(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        released = pool.submit(waiting.kernels.release, "")
        waiting.await_order("end")
        assert waiting.kernels.resume("t-0", {"token": "a"}) == "its kernel was released meanwhile"
        waiting.take()
        (waiting.job / "kept.json").unlink()
        assert released.result(20) == ["t-0"]
    assert waiting.ended == ["t-0"]


def test_a_kernel_that_does_not_answer_is_released_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_TAKEN", 0.1)
    waiting = Waiting(tmp_path)
    assert waiting.kernels.release("") == ["t-0"]
    assert waiting.ended == ["t-0"]
