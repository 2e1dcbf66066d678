"""What is found of a machine holds for the job it was found for, and a failure no longer than it lasts."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from executing import Job
from jobs import Bench

from nbpipe.errors import TargetError
from nbpipe.executors.base import JobState
from nbpipe.executors.ssh import patience
from nbpipe.executors.ssh.executor import SshExecutor
from nbpipe.executors.ssh.homecoming import SCRATCH
from nbpipe.executors.ssh.link import LinkDown
from nbpipe.executors.ssh.pool import PoolExecutor
from nbpipe.executors.ssh.there import environment
from nbpipe.job.leftovers import held_folder
from nbpipe.targets.settings import Target

_UV = """#!/bin/sh
[ "$1" = venv ] || exit 0
touch {root}/began
while [ ! -e {root}/go ]; do sleep 0.02; done
"""


class Machine(SshExecutor):
    """Answers as the agent there would; `says` is what it says of installing."""

    def __init__(self, target: Target) -> None:
        super().__init__(target, here=lambda _: "")
        self.says: Any = ""
        self.free: dict[str, Any] = {"found": False, "checkpoints": False, "free": 0, "begun": [], "cpus": 4}
        self.starts: Any = {}
        #: What it says to one that asks to go on, the last first.
        self.resumes: list[Any] = []
        #: All that it was asked to do; whether it knows no job; what it waits for before it starts one.
        self.done: list[str] = []
        self.absent = False
        self.go: threading.Event | None = None
        self.cancelled: list[str] = []
        self.kept: list[str] = []
        self.away = False
        self._link.connect = lambda: None  # type: ignore[method-assign]
        self._link.call = self._call  # type: ignore[method-assign]

    def _call(self, do: str, **asked: Any) -> Any:
        answers = {"build": self.says, "start": self.starts, "room": self.free, "find": [], "missing": [], "warm": {}}
        answers["building"] = "Downloading torch (821.1MiB)"
        self.done.append(do)
        if do == "start" and self.go is not None:
            assert self.go.wait(20)
        if do == "watch" and self.absent:
            self._hear({"job": asked["job"], "state": "absent"})
        if do == "cancel":
            self.cancelled.append(asked["job"])
        if do == "release" and not self.away:
            return [job for job in self.kept if asked["job"] in ("", job)]
        if self.away:
            raise LinkDown("no route to host")
        found = self.resumes.pop() if do == "resume" else answers.get(do, {})
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def machine() -> Machine:
    return Machine(Target(name="gpu", kind="ssh", host="nowhere", environment="build"))


def test_each_job_has_the_reason_that_was_found_for_it(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    location = str(tmp_path / "store")
    assert machine._for(location).unlike == ""
    machine.unlike = "packages differ: numpy 1 (here 2)"
    assert machine._for(location).unlike == machine.unlike
    machine.unlike = ""
    assert machine._for(location).unlike == ""


def test_what_could_not_be_installed_is_tried_again_for_the_next_run_or_cell(machine: Machine) -> None:
    machine.says = TargetError("uv cannot build the environment: no room")
    for _ in range(2):
        with pytest.raises(TargetError, match="no room"):
            machine.build({"cowsay": "6.1"})
    machine.says = "/there/bin/python"
    machine.build({"cowsay": "6.1"})
    assert machine._environment is not None
    assert machine._environment.python == "/there/bin/python"


def test_once_the_packages_are_there_a_runner_is_asked_for_before_the_first_job_begins(
    machine: Machine, tmp_path: Path
) -> None:
    machine._link.generation = 1
    machine.starts = TargetError("the end of this test")
    machine.build({"cowsay": "6.1"})
    machine.start()
    bench = Bench(tmp_path)
    written = [bench.write("1", attempt=number) for number in (1, 2)]
    jobs = [Job(machine, folder, spec, machine.submit(folder, spec)) for folder, spec in written]
    for job in jobs:
        job.await_log("waits for the packages")
    assert "warm" not in machine.done
    machine.says = "/there/bin/python"
    for job in jobs:
        job.wait()
    assert [do for do in machine.done if do in ("warm", "start")] == ["warm", "start", "start"]
    # Another connection has an agent of its own.
    machine._link.generation = 2
    machine.start()
    machine.start()
    assert machine.done.count("warm") == 2


def test_a_gpu_that_a_job_has_taken_already_is_not_counted_twice(tmp_path: Path) -> None:
    """Another run has all GPUs of the first host; on the second, one job has one, of which nothing was heard yet."""
    pool = PoolExecutor(Target(name="gpus", kind="ssh", hosts=("a", "b")), here=lambda _: "")
    a, b = (Machine(member) for member in pool.target.members)
    pool._hosts = [a, b]
    bench = Bench(tmp_path)
    written = [bench.write("1", gpus=1.0, attempt=number) for number in (1, 2)]
    b.free["free"] = 2
    first = pool.submit(*written[0])
    b.free |= {"free": 1, "begun": [first]}
    second = pool.submit(*written[1])
    assert [pool._placed[token].on for token in (first, second)] == [b, b]
    pool.close()


def test_a_host_that_cannot_install_the_packages_keeps_no_job_from_those_that_can(tmp_path: Path) -> None:
    target = Target(name="gpus", kind="ssh", hosts=("a", "b"), environment="build")
    pool = PoolExecutor(target, here=lambda _: "")
    a, b = (Machine(member) for member in target.members)
    pool._hosts = [a, b]
    pool.build({"cowsay": "6.1"})
    a.says = TargetError("uv cannot build the environment: no room")
    bench = Bench(tmp_path)
    written = [bench.write("1", attempt=number) for number in (1, 2)]
    first, second = (Job(pool, folder, spec, pool.submit(folder, spec)) for folder, spec in written)
    for job in (first, second):
        job.await_log("gpus: on b")
        job.await_log("waits for the packages, which uv installs on gpus: Downloading torch (821.1MiB)")
    assert "gpus: on a" in first.log
    b.says = TargetError("uv cannot build the environment: no compiler")
    for job in (first, second):
        job.wait()
        assert job.outcome.failure is not None
        assert "no compiler" in job.outcome.failure.message


def test_a_job_that_was_cancelled_meanwhile_is_not_given_to_another_host(tmp_path: Path) -> None:
    target = Target(name="gpus", kind="ssh", hosts=("a", "b"), environment="build")
    pool = PoolExecutor(target, here=lambda _: "")
    a, b = (Machine(member) for member in target.members)
    pool._hosts = [a, b]
    pool.build({"cowsay": "6.1"})
    a.says = TargetError("uv cannot build the environment: no room")
    folder, spec = Bench(tmp_path).write("1")
    handle = pool.submit(folder, spec)
    while a.poll(handle).state == "running":
        time.sleep(0.02)
    pool.cancel(handle)
    assert pool.poll(handle).state == "exited"
    assert b.poll(handle).state == "lost"


def test_a_kernel_of_a_pool_has_ended_only_where_the_host_that_may_have_it_says_so() -> None:
    target = Target(name="gpus", kind="ssh", hosts=("a", "b"))
    pool = PoolExecutor(target, here=lambda _: "")
    a, b = (Machine(member) for member in target.members)
    pool._hosts = [a, b]
    a.kept, b.kept = ["t-0"], ["s-0"]
    assert pool.release("s-0") == ["s-0"]
    assert pool.release("t-0", "b") == []
    a.away = True
    for asked in (("t-0",), ("t-0", "a"), ("t-0", "gone"), ()):
        with pytest.raises(TargetError):
            pool.release(*asked)
    assert pool.release("s-0") == pool.release("s-0", "b") == ["s-0"]
    a.away = False
    assert sorted(pool.release()) == ["s-0", "t-0"]


def test_a_job_that_may_have_been_handed_in_is_not_left_there(machine: Machine, tmp_path: Path) -> None:
    machine.starts = TargetError("kubectl says: connection reset by peer")
    folder, spec = Bench(tmp_path).write("1")
    job = Job(machine, folder, spec, machine.submit(folder, spec))
    assert job.wait().returncode == 4
    assert machine.cancelled == [f"{spec.token}-0"]


def test_a_target_that_cannot_say_whether_a_kernel_waits_is_asked_again(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_AGAIN", 0.0)
    machine.resumes = ["the kernel was not kept so long", *[TargetError("gpu says: Unsaid: Unable to contact")] * 2]
    machine.starts = TargetError("the end of this test")
    machine._environment = None
    folder, spec = Bench(tmp_path).write("1", continues="old-0")
    job = Job(machine, folder, spec, machine.submit(folder, spec))
    job.wait()
    assert machine.resumes == []
    assert job.log.count("Unable to contact; trying again") == 1
    assert "begins at its first cell: the kernel was not kept so long" in job.log
    # Whatever else is wrong is said at once.
    machine.resumes = ["", TargetError("gpu says: RuntimeError: another run goes on in its kernel")]
    folder, spec = Bench(tmp_path).write("1", attempt=2, continues="old-0")
    Job(machine, folder, spec, machine.submit(folder, spec)).wait()
    assert machine.resumes == [""]


def test_values_that_were_on_their_way_from_a_process_that_was_killed_do_not_stay(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / f"{SCRATCH}cargo-a"
    left.mkdir()
    (left / ".held").touch()
    with held_folder(f"{SCRATCH}cargo-") as another:
        machine._for(str(tmp_path / "store"))
        assert another.exists()
    assert not left.exists()


def test_connections_that_break_before_anything_is_heard_are_not_made_for_ever(
    machine: Machine, tmp_path: Path
) -> None:
    machine._link.target = msgspec.structs.replace(machine.target, patience=0.5)
    folder, spec = Bench(tmp_path).write("1")
    job = Job(machine, folder, spec, machine.submit(folder, spec))
    assert job.wait() == JobState("exited", 4)
    assert job.outcome.status == "lost"
    assert "breaks as soon as it is made" in job.log + str(job.outcome.failure)
    assert machine.done.count("watch") < 10


def test_a_job_that_nobody_there_knows_is_started_again_before_it_is_lost(machine: Machine, tmp_path: Path) -> None:
    machine._environment = None
    machine.absent = True
    folder, spec = Bench(tmp_path).write("1")
    job = Job(machine, folder, spec, machine.submit(folder, spec))
    assert job.wait().state == "lost"
    assert machine.done.count("start") == 2


def test_a_job_that_is_cancelled_while_it_is_handed_in_is_cancelled_there_at_once(
    machine: Machine, tmp_path: Path
) -> None:
    machine._environment = None
    machine.go = threading.Event()
    machine.starts = TargetError("the end of this test")
    folder, spec = Bench(tmp_path).write("1")
    job = Job(machine, folder, spec, machine.submit(folder, spec))
    while "start" not in machine.done:
        time.sleep(0.01)
    machine.cancel(job.handle)
    until = time.monotonic() + 120
    while not machine.cancelled:
        assert time.monotonic() < until
        time.sleep(0.01)
    machine.go.set()
    assert job.wait().returncode == 130


def test_uv_has_its_folder_to_itself_also_once_the_connection_is_gone(tmp_path: Path) -> None:
    (tmp_path / "uv").write_text(_UV.format(root=tmp_path))
    (tmp_path / "uv").chmod(0o755)
    code = f"import runpy, sys\nrunpy.run_path({environment.__file__!r})['build']({str(tmp_path)!r}, 'e', '3', [], '')"
    path = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    agent = subprocess.Popen([sys.executable, "-c", code], env=path, stderr=subprocess.DEVNULL)
    while not (tmp_path / "began").exists():
        assert agent.poll() is None
        time.sleep(0.02)
    agent.kill()
    agent.wait()
    with (tmp_path / "environments" / "e.lock").open("w") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (tmp_path / "go").touch()
        fcntl.flock(lock, fcntl.LOCK_EX)
