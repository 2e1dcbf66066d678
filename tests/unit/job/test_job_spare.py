"""Kernels that wait ahead of their job: what runs on one is what runs on a kernel started for it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from jobs import Bench

from nbpipe.executors.local import LocalExecutor
from nbpipe.job import engine, holders, spare
from nbpipe.job.folder import KERNEL_PID, read_verdict
from nbpipe.model import Outcome

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked elsewhere")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def executor() -> Iterator[LocalExecutor]:
    made = LocalExecutor(cpus=2)
    yield made
    made.close()


def _wait_for(what: Callable[[], object], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)


def _spares(executor: LocalExecutor) -> list[psutil.Process]:
    """Kernels that wait: what runners have started that have no job."""
    assert executor._server is not None
    assert executor._server.pid is not None
    found = []
    for runner in psutil.Process(executor._server.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            found += runner.children()
    return found


def _ready(executor: LocalExecutor, bench: Bench, number: int = 1) -> list[psutil.Process]:
    """That many of them, each of which answers."""
    executor.expect(number, str(bench.project))
    _wait_for(lambda: len(_spares(executor)) == number and all(map(_answers, _spares(executor))))
    return _spares(executor)


def _answers(kernel: psutil.Process) -> bool:
    """It waits for what its sockets bring."""
    try:
        return bool(kernel.num_threads() > 1) and kernel.status() == psutil.STATUS_SLEEPING
    except psutil.NoSuchProcess:
        return False


def _run(executor: LocalExecutor, bench: Bench, *bodies: str, **fields: object) -> tuple[Path, Outcome]:
    folder, spec = bench.write(*bodies, **fields)
    handle = executor.submit(folder, spec)
    _wait_for(lambda: executor.poll(handle).state != "running")
    outcome = read_verdict(folder, spec.token)
    assert outcome is not None
    return folder, outcome


_PID = "import os\nprint(os.getpid())"


def test_a_job_runs_on_the_kernel_that_waits(executor: LocalExecutor, bench: Bench) -> None:
    (kernel,) = _ready(executor, bench)
    _, outcome = _run(executor, bench, _PID)
    assert outcome.status == "succeeded"
    assert bench.printed() == f"{kernel.pid}\n"
    _wait_for(lambda: not kernel.is_running())


def test_as_many_wait_as_jobs_may_come_and_room_is_for(executor: LocalExecutor, bench: Bench) -> None:
    executor.expect(50, str(bench.project))
    _wait_for(lambda: len(_spares(executor)) == 2)
    executor.expect(1, str(bench.project))
    _run(executor, bench, _PID)
    # A runner's end is told before its process has gone.
    _wait_for(lambda: len(_spares(executor)) == 1)


@pytest.mark.parametrize(
    "fields",
    [{"env": {"IPYTHONDIR": "elsewhere"}}, {"kernel": "other"}, {"nproc": 2}, {"cwd": "/"}],
    ids=["variables", "kernel", "processes", "folder"],
)
def test_a_job_whose_kernel_would_start_otherwise_gets_one_of_its_own(
    executor: LocalExecutor, bench: Bench, fields: dict[str, object]
) -> None:
    (kernel,) = _ready(executor, bench)
    _run(executor, bench, _PID, **fields)
    assert str(kernel.pid) not in bench.printed()
    assert kernel.is_running()


@pytest.mark.parametrize("name", ["profile_default/startup/00.py", "profile_default/ipython_config.py", None])
def test_code_that_a_kernel_runs_when_it_starts_sees_what_earlier_stages_left(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    """It is run for the job, not ahead of it."""
    home, code = bench.root / "ipython", "import os\ncwd_has = sorted(os.listdir())\n"
    start = home / (name or "start.py")
    start.parent.mkdir(parents=True)
    start.write_text(f"c.InteractiveShellApp.exec_lines = [{code!r}]" if "config" in start.name else code)
    monkeypatch.setenv("IPYTHONDIR", str(home))
    if name is None:
        monkeypatch.setenv("PYTHONSTARTUP", str(start))
    executor = LocalExecutor(cpus=2)
    try:
        executor.expect(1, str(bench.project))
        _run(executor, bench, "print(cwd_has)")
        assert bench.printed() == "[]\n"
        executor.expect(1, str(bench.project))
        time.sleep(0.5)
        (bench.project / "left.txt").touch()
        _run(executor, bench, "print(cwd_has)")
        assert bench.printed() == "['left.txt']\n"
    finally:
        executor.close()


def test_a_module_written_while_it_waits_is_found(executor: LocalExecutor, bench: Bench) -> None:
    _ready(executor, bench)
    (bench.project / "fresh_module.py").write_text("x = 7")
    _, outcome = _run(executor, bench, "from fresh_module import x\nprint(x)")
    assert outcome.failure is None
    assert bench.printed() == "7\n"


def test_what_the_kernel_itself_prints_stands_in_the_jobs_log(executor: LocalExecutor, bench: Bench) -> None:
    _ready(executor, bench)
    # Below a test, a kernel leaves its own standard error where it is.
    folder, outcome = _run(executor, bench, "import os\nos.write(2, b'own words')")
    assert outcome.failure is None
    log = (folder / "kernel.log").read_text()
    assert "own words" in log
    assert "To connect another client" in log


def test_the_log_is_the_jobs_also_where_temporary_files_lie_behind_a_link(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "link"))
    executor = LocalExecutor(cpus=2)
    try:
        _ready(executor, bench)
        folder, _ = _run(executor, bench, "import os\nos.write(2, b'own words')")
    finally:
        executor.close()
    assert "own words" in (folder / "kernel.log").read_text()


def test_those_that_nobody_needs_any_more_end(executor: LocalExecutor, bench: Bench) -> None:
    waiting = _ready(executor, bench, 2)
    executor.expect(0, str(bench.project))
    _wait_for(lambda: not any(one.is_running() for one in waiting))
    _, outcome = _run(executor, bench, _PID)
    assert outcome.status == "succeeded"


def test_a_kernel_that_cannot_be_started_ahead_costs_no_job(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(engine, "connection_file", full)
    ours, theirs = socket.socketpair()
    asked = {"job": "j", "env": {}}
    ours.sendall(json.dumps(asked).encode())
    ours.shutdown(socket.SHUT_WR)
    assert spare.wait(theirs, str(bench.project)) == (asked, None)
    ours.close()


def test_one_whose_server_ends_before_it_hears_that_it_is_ready_has_no_job(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spare, "plain", lambda _: False)
    ours, theirs = socket.socketpair()

    def end() -> None:
        ours.recv(1, socket.MSG_PEEK)
        ours.close()

    server = threading.Thread(target=end)
    server.start()
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert spare.wait(theirs, str(bench.project)) is None
    finally:
        signal.signal(signal.SIGTERM, before)
    server.join()


def test_one_that_died_waiting_is_replaced(executor: LocalExecutor, bench: Bench) -> None:
    (kernel,) = _ready(executor, bench)
    kernel.kill()
    # With all its threads: before the last, nobody is told.
    _wait_for(lambda: kernel.status() == psutil.STATUS_ZOMBIE and kernel.num_threads() == 1)
    _, outcome = _run(executor, bench, _PID)
    assert outcome.status == "succeeded", outcome.failure
    (runner,) = [one.parent() for one in _ready(executor, bench)]
    assert runner is not None
    runner.kill()
    # Once the server knows.
    _wait_for(lambda: not psutil.pid_exists(runner.pid))
    _, outcome = _run(executor, bench, _PID)
    assert outcome.status == "succeeded", outcome.failure


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_none_outlives_who_started_it(bench: Bench, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not below a deep folder: sockets would lie elsewhere.
    with tempfile.TemporaryDirectory(prefix="nb") as scratch:
        monkeypatch.setenv("TMPDIR", scratch)
        _ends_with_its_server(bench, how, Path(scratch))


def _ends_with_its_server(bench: Bench, how: str, scratch: Path) -> None:
    executor = LocalExecutor(cpus=2)
    waiting = _ready(executor, bench, 2)
    assert len(list(scratch.iterdir())) == 2
    if how == "killed":
        assert executor._server is not None
        assert executor._server.pid is not None
        os.kill(executor._server.pid, signal.SIGKILL)
    executor.close()
    _wait_for(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in waiting))
    _wait_for(lambda: not list(scratch.iterdir()))


@pytest.mark.long
def test_one_that_is_slow_to_end_leaves_no_files(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="nb") as scratch:
        monkeypatch.setenv("TMPDIR", scratch)
        executor = LocalExecutor(cpus=2)
        _run(executor, bench, "1")
        runner = _ready(executor, bench)[0].parent()
        assert runner is not None
        runner.suspend()
        threading.Timer(3, runner.resume).start()
        executor.close()
        _wait_for(lambda: not list(Path(scratch).iterdir()))


def test_a_job_is_cancelled_before_its_kernel_answers(executor: LocalExecutor, bench: Bench) -> None:
    executor.expect(1, str(bench.project))
    folder, spec = bench.write("import time\ntime.sleep(600)")
    handle = executor.submit(folder, spec)
    executor.cancel(handle)
    _wait_for(lambda: executor.poll(handle).state != "running")
    if (folder / KERNEL_PID).exists():
        pid = int((folder / KERNEL_PID).read_text())
        _wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_one_that_ends_by_itself_is_not_replaced_for_ever(executor: LocalExecutor, bench: Bench) -> None:
    (kernel,) = _ready(executor, bench)
    runner = kernel.parent()
    assert runner is not None
    runner.kill()
    _wait_for(lambda: not psutil.pid_exists(runner.pid))
    time.sleep(0.3)
    assert _spares(executor) == []


def test_a_child_that_cells_leave_behind_ends_with_its_kernel(executor: LocalExecutor, bench: Bench) -> None:
    _ready(executor, bench)
    body = "import subprocess, threading\n"
    body += "def start(): open('pid', 'w').write(str(subprocess.Popen(['sleep', '600']).pid))\n"
    # A child belongs to the thread that started it.
    body += "thread = threading.Thread(target=start); thread.start(); thread.join()"
    _, outcome = _run(executor, bench, body)
    assert outcome.status == "succeeded", outcome.failure
    child = int((bench.project / "pid").read_text())
    # Who takes it over may be slow to see that it has ended.
    with contextlib.suppress(psutil.NoSuchProcess):
        assert psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_children_are_seen_whichever_thread_started_them() -> None:
    assert not holders.has_children() or psutil.Process().children()
    child = list[subprocess.Popen[bytes]]()
    thread = threading.Thread(target=lambda: child.append(subprocess.Popen(["sleep", "600"])))
    thread.start()
    thread.join()
    assert holders.has_children()
    child[0].kill()
    child[0].wait()
    assert holders.has_children() == bool(psutil.Process().children())
