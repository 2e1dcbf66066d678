"""Whatever goes wrong in a kernel or a runner, the verdict is honest and nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from jobs import Bench

from nbpipe.job.folder import KERNEL_PID, read_verdict
from nbpipe.job.runner import run_job


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("fork", ["0", "1"])
@pytest.mark.parametrize(
    ("body", "code", "status", "failure"),
    [
        ("import os; os.kill(os.getpid(), 9)", 4, "lost", "kernel-lost"),
        ("import os; os.kill(os.getpid(), 11)", 4, "lost", "kernel-lost"),
        ("import os; os._exit(0)", 1, "failed", "early-exit"),
        ("import os; os._exit(1)", 1, "failed", "early-exit"),
        ("import sys; sys.exit(0)", 1, "failed", "user-code"),
        ("exit()", 1, "failed", "early-exit"),
        ("input()", 1, "failed", "user-code"),
        ("1 / 0", 1, "failed", "user-code"),
        ("x = (", 1, "failed", "user-code"),
        ("import time; time.sleep(60)", 5, "timeout", "timeout"),
        ("import signal, time; signal.pthread_sigmask(2, range(1, 32)); time.sleep(60)", 5, "timeout", "timeout"),
    ],
)  # fmt: skip
def test_a_stage_that_does_not_finish_never_succeeds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, fork: str, body: str, code: int, status: str, failure: str
) -> None:
    monkeypatch.setenv("NBPIPE_FORK", fork)
    # The time that a kernel takes to start counts.
    limit = 5 if fork == "1" else 20
    outcome = bench.run("done = 1", body, outputs=("done",), timeout=limit if code == 5 else None)
    assert outcome.failure is not None
    assert (bench.code, outcome.status, outcome.failure.code, outcome.failure.cell) == (code, status, failure, 2)
    assert outcome.outputs == {}


def test_the_line_and_the_traceback_are_the_user_s(bench: Bench) -> None:
    outcome = bench.run("def f():\n    return {}['k']", "x = 1\nf()")
    assert outcome.failure is not None
    assert (outcome.failure.cell, outcome.failure.line) == (2, 3)
    assert "nbpipe" not in outcome.failure.traceback
    assert "KeyError: 'k'" in outcome.failure.traceback


def test_the_line_counts_below_a_cell_magic_too(bench: Bench) -> None:
    outcome = bench.run("%%time\nx = 1\n1 / 0")
    assert outcome.failure is not None
    assert outcome.failure.line == 4


def test_an_output_that_cannot_be_stored_is_named(bench: Bench) -> None:
    outcome = bench.run("g = (i for i in [1])", outputs=("g",))
    assert outcome.failure is not None
    assert (outcome.status, outcome.failure.code, outcome.failure.name) == ("failed", "unserializable", "g")


def test_an_error_in_a_cell_that_may_raise_does_not_stop_the_run(bench: Bench) -> None:
    import msgspec

    spec = bench.spec("1 / 0", "print('on')")
    cells = (msgspec.structs.replace(spec.cells[0], may_raise=True), spec.cells[1])
    assert bench.run(cells=cells).status == "succeeded"
    assert bench.printed() == "on\n"


def test_a_damaged_object_is_no_success(bench: Bench) -> None:
    body = (
        "import pathlib, threading, time\n"
        f"store = pathlib.Path({str(bench.root / 'store/objects')!r})\n"
        "def spoil():\n"
        "    while True:\n"
        f"        if pathlib.Path({str(bench.root / 'jobs/0/outcome.json')!r}).exists():\n"
        "            for path in store.rglob('*'):\n"
        "                if path.is_file(): path.chmod(0o600); path.write_bytes(b'spoiled')\n"
        "            return\n"
        "        time.sleep(0.001)\n"
        "threading.Thread(target=spoil).start()\n"
        "a = list(range(1000))\n"
    )
    outcome = bench.run(body, outputs=("a",))
    assert (bench.code, outcome.status) == (6, "failed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_runner_ends_the_kernel_and_its_children(bench: Bench, number: int) -> None:
    folder, spec = bench.write(
        "import subprocess, time\nsubprocess.Popen(['sleep', '777.7'])\nprint('up')\ntime.sleep(600)"
    )
    runner = subprocess.Popen([sys.executable, "-m", "nbpipe.job", str(folder)])
    _wait_for(folder / "log.jsonl", "up")
    kernel = int((folder / KERNEL_PID).read_text())
    runner.send_signal(number)
    # Less than its cells would take.
    assert runner.wait(120) == 130
    outcome = read_verdict(folder, spec.token)
    assert outcome is not None
    assert outcome.status == "cancelled"
    deadline = time.monotonic() + 60
    while [process for process in psutil.process_iter() if _in_group(process, kernel)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_kernel_does_not_outlive_a_killed_runner(bench: Bench) -> None:
    folder, _ = bench.write("import time\nprint('up')\ntime.sleep(60)")
    runner = subprocess.Popen([sys.executable, "-m", "nbpipe.job", str(folder)])
    _wait_for(folder / "log.jsonl", "up")
    kernel = int((folder / KERNEL_PID).read_text())
    runner.kill()
    runner.wait()
    deadline = time.monotonic() + 60
    while _alive(kernel):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_job_with_a_verdict_is_not_run_again(bench: Bench) -> None:
    bench.run("open('ran.txt', 'a').write('x')")
    assert run_job(bench.folders[-1]) == 0
    assert (bench.project / "ran.txt").read_text() == "x"


def test_a_flood_of_output_is_kept_in_bounded_memory(bench: Bench) -> None:
    folder, _ = bench.write("for i in range(1600): print('x' * 65535)", "for i in range(100_000): print(i)")
    program = (
        # Not `ru_maxrss`: a child starts with that of the process it was forked from.
        "import sys, pathlib; from nbpipe.job.runner import run_job; run_job(pathlib.Path(sys.argv[1]));"
        "lines = pathlib.Path('/proc/self/status').read_text().splitlines();"
        "print(next(int(line.split()[1]) // 1024 for line in lines if line.startswith('VmHWM')))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 600
    assert (folder / "executed.ipynb").stat().st_size < 3_000_000
    assert (folder / "log.jsonl").stat().st_size > 100_000_000


def _in_group(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def _alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def _wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + 120
    while not path.exists() or text not in path.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
