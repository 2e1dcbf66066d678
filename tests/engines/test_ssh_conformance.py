"""The ssh executor does what every executor does, and what only a machine at the other end of a wire can ask of it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from conformance import *  # noqa: F403 - the suite
from executing import WITH_CHILD, Ground, Job, gone, left_by, pids
from places import *  # noqa: F403 - its fixtures
from places import Place, place_with
from sshd import Sshd, install, running_sshd

from nbpipe.executors.base import JobState
from nbpipe.executors.ssh import link as links
from nbpipe.executors.ssh.executor import SshExecutor
from nbpipe.executors.ssh.there import keeper
from nbpipe.executors.ssh.there.keeper import lock
from nbpipe.store import open_store

pytestmark = pytest.mark.engines

_SLOW = "import time\nfor n in range(12):\n    print('step', n, flush=True)\n    time.sleep(0.25)\nx = 'done'"


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    install()
    with running_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture(scope="module")
def place(sshd: Sshd) -> Iterator[Place]:
    # The worker's key is another than ours.
    given = {"XDG_CONFIG_HOME": f"{sshd.root}/mine"}
    with place_with(sshd.target(sys.executable, gpus=2.0), given, cut=sshd.cut) as made:
        yield made


def test_a_job_survives_a_cut_connection_and_its_log_has_no_hole(ground: Ground) -> None:
    job = ground.submit(_SLOW, outputs=("x",))
    job.await_log("step 1")
    ground.cut()
    assert job.wait() == JobState("exited", 0)
    printed = [line for line in ground.bench.printed().splitlines() if line]
    assert printed == [f"step {n}" for n in range(12)]
    assert ground.bench.load(job.outcome.outputs) == {"x": "done"}


def test_a_machine_that_is_away_for_a_while_is_waited_for(ground: Ground, sshd: Sshd) -> None:
    job = ground.submit(_SLOW, outputs=("x",))
    job.await_log("step 1")
    sshd.stop()
    try:
        time.sleep(1)
        assert job.executor.poll(job.handle) == JobState("running")
    finally:
        sshd.start()
    assert job.wait() == JobState("exited", 0)
    assert "answers again" in job.log


def test_a_machine_that_never_answers_is_a_failure_that_says_so(ground: Ground, sshd: Sshd) -> None:
    executor = SshExecutor(sshd.target(sys.executable, port=1, patience=0.5), here=lambda _: "")
    folder, spec = ground.bench.write("x = 1")
    job = Job(executor, folder, spec, executor.submit(folder, spec))
    assert job.wait().returncode == 4
    assert job.outcome.status == "lost"
    assert job.outcome.failure is not None
    assert "does not answer" in job.outcome.failure.message
    executor.close()


def test_a_job_can_be_given_up_though_its_machine_is_away(ground: Ground, sshd: Sshd) -> None:
    job = ground.submit(_SLOW)
    job.await_log("step 1")
    sshd.stop()
    try:
        job.executor.cancel(job.handle)
        assert job.wait(20).returncode == 130
        assert "could not be told to stop" in job.log
    finally:
        sshd.start()


def test_another_client_takes_up_the_job_of_one_that_died(ground: Ground) -> None:
    folder, spec = ground.bench.write(_SLOW, outputs=("x",))
    client = os.fork()
    if client == 0:
        # Nothing is closed and nothing is said: as if the power had gone.
        executor = ground.another()
        job = Job(executor, folder, spec, executor.submit(folder, spec))
        job.await_log("step 2")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(client, 0)
    folder = ground.bench.root / "jobs" / "taken up"
    from nbpipe.job.folder import write_spec

    write_spec(folder, spec)
    job = Job(ground.executor, folder, spec, ground.executor.submit(folder, spec))
    assert job.wait() == JobState("exited", 0)
    assert ground.bench.load(job.outcome.outputs) == {"x": "done"}
    assert job.log.count("step 0") == 1
    assert "attached" in job.log


def _waiting(root: Path) -> list[int]:
    """Processes of runners that wait in this folder for a job, and of their keepers."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if "nbpipe.job.elsewhere" in process.cmdline() and process.cwd() == str(root):
                found += [process.pid, process.ppid()]
    return found


@pytest.fixture
def alone(ground: Ground, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshExecutor]:
    """An executor with a worker's folder of its own, whose agent takes it for gone after two seconds."""
    monkeypatch.setattr(links, "_GONE", 2.0)
    monkeypatch.setattr(links, "_BEAT", 0.5)
    given = {"CUDA_VISIBLE_DEVICES": f"of-{tmp_path.name}"}
    target = sshd.target(
        sys.executable, folder=str(tmp_path / "worker"), gpus=1.0, env=given, keep=5.0, keep_failed=4.0
    )
    made = SshExecutor(target, here=lambda _: "")
    yield made
    made.close()
    Path(keeper._LOCKS, *given.values()).unlink(missing_ok=True)


@contextmanager
def frozen(executor: SshExecutor) -> Iterator[None]:
    """The connection as where a laptop was closed, or the network is gone: nothing comes, and nobody hangs up."""
    assert executor._link._process is not None
    pid = executor._link._process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_what_waits_for_the_next_job_ends_with_a_client_that_is_killed(sshd: Sshd, tmp_path: Path) -> None:
    target = sshd.target(sys.executable, folder=str(tmp_path / "worker"))
    client = os.fork()
    if client == 0:
        SshExecutor(target, here=lambda _: "").start()
        signal.pause()
    until = time.monotonic() + 60
    while not (found := _waiting(tmp_path / "worker")):
        assert time.monotonic() < until
        time.sleep(0.05)
    os.kill(client, signal.SIGKILL)
    os.waitpid(client, 0)
    assert [pid for pid in found if not gone(pid, 20)] == []


def test_what_waits_for_the_next_job_ends_once_nothing_is_heard_of_the_client(
    ground: Ground, alone: SshExecutor, tmp_path: Path
) -> None:
    alone.start()
    until = time.monotonic() + 60
    while not (found := _waiting(tmp_path / "worker")):
        assert time.monotonic() < until
        time.sleep(0.05)
    # A client that has nothing to say is there all the same.
    time.sleep(5)
    assert _waiting(tmp_path / "worker") == found
    with frozen(alone):
        assert [pid for pid in found if not gone(pid, 20)] == []
    done = ground.submit_to(alone, "x = 1", outputs=("x",))
    assert done.wait() == JobState("exited", 0), done.log


def test_a_job_and_a_kept_kernel_give_back_the_gpu_once_nothing_is_heard_of_the_client(
    ground: Ground, alone: SshExecutor
) -> None:
    left = left_by(ground, alone, gpus=1.0)
    (device,) = left.kept.gpus
    assert lock(device, shared=False) is None
    with frozen(alone):
        assert gone(left.pid, 20)
    runs = ground.submit_to(alone, WITH_CHILD, gpus=1.0)
    found = pids(runs)
    assert lock(device, shared=False) is None
    with frozen(alone):
        assert [pid for pid in found if not gone(pid, 30)] == []
        until = time.monotonic() + 20
        while (held := lock(device, shared=False)) is None:
            assert time.monotonic() < until, "whoever kept the job keeps its GPU"
            time.sleep(0.05)
        os.close(held)


def test_a_submit_whose_answer_is_lost_runs_once(ground: Ground, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbpipe.executors.ssh.link import Link, LinkDown

    plain, lost = Link.call, list[str]()

    def call(self: Link, do: str, **asked: Any) -> Any:
        found = plain(self, do, **asked)
        if do == "start" and not lost:
            lost.append(do)
            self.drop()
            raise LinkDown("the answer was lost")
        return found

    monkeypatch.setattr(Link, "call", call)
    job = ground.run("print('ran')\nx = 1", outputs=("x",))
    assert job.outcome.status == "succeeded"
    assert lost
    assert ground.bench.printed().count("ran") == 1
    assert not list((sshd.root / "worker" / "work").glob(f"{job.spec.token}*"))


def test_a_file_that_nobody_named_is_sent_when_it_is_looked_for(ground: Ground) -> None:
    project = ground.bench.project
    (project / "d").mkdir()
    (project / "d" / "a.csv").write_text("1")
    (project / "d" / "b.csv").write_text("2")
    failed = ground.run("import glob\nx = sorted(open(p).read() for p in glob.glob('d/*.csv'))\nx[1]", outputs=("x",))
    assert ground.bench.load(failed.outcome.outputs) == {"x": ["1", "2"]}
    there = ground.run("import os\nx = os.path.exists('d/a.csv')", outputs=("x",))
    assert ground.bench.load(there.outcome.outputs) == {"x": True}


def test_what_was_sent_does_not_travel_again_and_what_was_spoilt_there_does(ground: Ground, sshd: Sshd) -> None:
    store = open_store(ground.bench.root / "store")
    given = store.save_values({"a": b"x" * 3_000_000}, stage="s")
    first = ground.run("n = len(a)", inputs=given, outputs=("n",))
    assert "sent" in first.log
    assert "sent" not in ground.run("n = len(a) + 1", inputs=given, outputs=("n",)).log
    objects = sshd.root / "worker" / "store" / "objects"
    for path in objects.rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(b"spoilt")
    third = ground.run("n = len(a) + 2", inputs=given, outputs=("n",))
    assert "damaged" in third.log
    assert ground.bench.load(third.outcome.outputs) == {"n": 3_000_002}


def test_what_nobody_used_for_a_month_is_removed_there(ground: Ground, sshd: Sshd) -> None:
    ground.run("x = 1", outputs=("x",))
    objects = sshd.root / "worker" / "store" / "objects"
    young = {path for path in objects.rglob("*") if path.is_file()}
    old = objects / "ab" / ("ab" * 32)
    old.parent.mkdir(exist_ok=True)
    old.write_text("old")
    os.utime(old, (1, 1))
    left = sshd.root / "worker" / "work" / "f00-0"
    left.mkdir()
    os.utime(left, (1, 1))
    other = ground.another()
    assert isinstance(other, SshExecutor)
    other.round_trip()
    assert not old.exists()
    assert not left.exists()
    assert {path for path in young if not path.exists()} == set()


def test_a_worker_that_is_thawed_too_late_changes_nothing(ground: Ground) -> None:
    late = ground.another()
    folder, spec = ground.bench.write(
        "import os, time\nprint(f'pids={os.getpid()},{os.getppid()},0;', flush=True)\ntime.sleep(1)\n"
        "open('model.txt', 'w').write('late')\nx = 'late'",
        outputs=("x",),
    )
    job = Job(late, folder, spec, late.submit(folder, spec))
    frozen = pids(job)[:2]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    late._link.close()  # type: ignore[attr-defined]
    second = ground.run("open('model.txt', 'w').write('second')\nx = 'second'", outputs=("x",), attempt=2)
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    assert gone(frozen[1], 20)
    assert ground.bench.load(second.outcome.outputs) == {"x": "second"}
    written = second.outcome.files_written[0]
    assert open_store(second.spec.store).objects.get_bytes(written.object) == b"second"
    assert not (ground.bench.project / "model.txt").exists()
    assert job.verdict is None or job.outcome.status != "succeeded"


def test_a_job_that_nobody_asks_for_ends_by_itself(ground: Ground, sshd: Sshd) -> None:
    executor = SshExecutor(
        sshd.target(sys.executable, keep=6.0, folder=str(ground.bench.root / "w")), here=lambda _: ""
    )
    folder, spec = ground.bench.write(WITH_CHILD)
    found = pids(Job(executor, folder, spec, executor.submit(folder, spec)))
    executor._link.close()
    assert [pid for pid in found if not gone(pid, 30)] == []
