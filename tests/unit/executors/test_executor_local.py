"""The local executor, with and without its fork server, and the scripted fake."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs import Bench

from nbpipe.executors.base import Executor, JobState
from nbpipe.executors.faulty import FaultyExecutor, Scripted
from nbpipe.executors.local import LocalExecutor
from nbpipe.job.folder import KERNEL_PID, read_verdict


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(params=[True, False], ids=["warm", "cold"])
def executor(request: pytest.FixtureRequest) -> Iterator[LocalExecutor]:
    made = LocalExecutor(cpus=2, warm=request.param)
    yield made
    made.close()


def _wait(executor: Executor, handle: str, seconds: float = 120) -> JobState:
    deadline = time.monotonic() + seconds
    while (state := executor.poll(handle)).state == "running":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return state


def test_a_job_runs_and_leaves_its_verdict(executor: LocalExecutor, bench: Bench) -> None:
    folder, spec = bench.write("x = 1", outputs=("x",))
    handle = executor.submit(folder, spec)
    assert executor.submit(folder, spec) == handle
    assert _wait(executor, handle) == JobState("exited", 0)
    outcome = read_verdict(folder, spec.token)
    assert outcome is not None
    assert outcome.status == "succeeded"


def test_two_jobs_run_at_once(executor: LocalExecutor, bench: Bench) -> None:
    meet = "import pathlib, time\npathlib.Path('{0}').touch()\nwhile not pathlib.Path('{1}').exists(): time.sleep(0.01)"
    jobs = [bench.write(meet.format(*names), timeout=120) for names in (("a", "b"), ("b", "a"))]
    handles = [executor.submit(*job) for job in jobs]
    assert [_wait(executor, handle).returncode for handle in handles] == [0, 0]


def test_who_waits_hears_of_the_end_at_once(bench: Bench) -> None:
    made = LocalExecutor(cpus=2)
    try:
        handle = made.submit(*bench.write("x = 1"))
        begun = time.monotonic()
        while made.poll(handle).state == "running":
            made.wait(600)
        assert time.monotonic() - begun < 300
    finally:
        made.close()


def test_a_job_runs_where_temporary_files_lie_deep(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deep = tmp_path / ("d" * 110)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    made = LocalExecutor(cpus=2, warm=False)
    try:
        assert _wait(made, made.submit(*bench.write("x = 1"))) == JobState("exited", 0)
    finally:
        made.close()
    assert list(deep.iterdir()) == []


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many files are open as a notebook's kernel may well have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2048), hard), hard))
    with contextlib.ExitStack() as files:
        while files.enter_context(Path(os.devnull).open()).fileno() < 1024:
            pass
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_a_job_runs_where_a_thousand_files_are_open(executor: LocalExecutor, bench: Bench) -> None:
    handle = executor.submit(*bench.write("x = 1"))
    while executor.poll(handle).state == "running":
        executor.wait(0.1)
    assert executor.poll(handle) == JobState("exited", 0)


@pytest.mark.parametrize("how", ["gently", "by force"])
def test_cancel_ends_the_job_and_its_kernel_soon(executor: LocalExecutor, bench: Bench, how: str) -> None:
    force = how == "by force"
    folder, spec = bench.write("import time\nprint('up')\ntime.sleep(600)")
    handle = executor.submit(folder, spec)
    deadline = time.monotonic() + 120
    while not (folder / "log.jsonl").exists() or "up" not in (folder / "log.jsonl").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    kernel = int((folder / KERNEL_PID).read_text())
    started = time.monotonic()
    executor.cancel(handle, force=force)
    assert time.monotonic() - started < 20
    # On a machine so busy that it does not hear of it in time, a job that is asked gently is killed, too.
    assert _wait(executor, handle).returncode in (
        (-signal.SIGKILL,) if force else (130, -signal.SIGTERM, -signal.SIGKILL)
    )
    assert _gone(kernel)


@pytest.mark.parametrize("fork", ["0", "1"])
def test_nothing_outlives_a_killed_orchestrator(bench: Bench, fork: str) -> None:
    folder, _ = bench.write(
        "import subprocess, time\nprint(subprocess.Popen(['sleep', '888']).pid, flush=True)\ntime.sleep(600)"
    )
    program = (
        "import sys, time, pathlib\n"
        "from nbpipe.executors.local import LocalExecutor\n"
        "from nbpipe.job.folder import read_spec\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "local = LocalExecutor()\n"
        "local.submit(folder, read_spec(folder))\n"
        "time.sleep(100)"
    )
    orchestrator = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], env={**os.environ, "NBPIPE_FORK": fork}
    )
    deadline = time.monotonic() + 120
    while not (folder / "log.jsonl").exists() or not bench.printed():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pids = [int(bench.printed()), int((folder / KERNEL_PID).read_text())]
    orchestrator.kill()
    orchestrator.wait()
    assert [pid for pid in pids if not _gone(pid)] == []


def test_a_lost_server_is_lost_jobs_and_later_ones_still_run(bench: Bench) -> None:
    executor = LocalExecutor()
    folder, spec = bench.write("import time; time.sleep(60)")
    handle = executor.submit(folder, spec)
    assert executor._server is not None
    assert executor._server.pid is not None
    os.kill(executor._server.pid, signal.SIGKILL)
    assert _wait(executor, handle) == JobState("lost")
    later = executor.submit(*bench.write("x = 1"))
    assert _wait(executor, later) == JobState("exited", 0)
    executor.close()


def test_warm_jobs_come_from_one_process_that_has_the_libraries_loaded(bench: Bench) -> None:
    """The kernel's parent is the runner; the runner's is the server."""
    executor = LocalExecutor()
    servers = []
    for number in range(2):
        noted = bench.root / f"server{number}"
        body = (
            f"import pathlib, psutil\npathlib.Path({str(noted)!r}).write_text(str(psutil.Process().parents()[1].pid))"
        )
        _wait(executor, executor.submit(*bench.write(body)))
        servers.append(noted.read_text())
    executor.close()
    assert servers[0] == servers[1]


def test_the_fake_plays_its_script(bench: Bench) -> None:
    executor = FaultyExecutor(script={"train": [Scripted(polls=1, state=JobState("lost"))]})
    folder, spec = bench.write("x = 1")
    handle = executor.submit(folder, spec)
    assert [executor.poll(handle).state for _ in range(3)] == ["running", "lost", "lost"]
    assert read_verdict(folder, spec.token) is None


def test_the_fake_succeeds_where_the_script_is_silent(bench: Bench) -> None:
    executor = FaultyExecutor()
    folder, spec = bench.write("x = 1")
    assert executor.poll(executor.submit(folder, spec)) == JobState("exited", 0)
    outcome = read_verdict(folder, spec.token)
    assert outcome is not None
    assert outcome.status == "succeeded"
    assert executor.submitted == [spec]


def _gone(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


_SERVER = "import pandas, psutil; print(' '.join(psutil.Process().parents()[1].cmdline()))"


def test_the_second_job_that_imports_a_library_finds_it_loaded_ahead(bench: Bench) -> None:
    """The first one imports it itself: for one job alone nothing is gained."""
    executor = LocalExecutor(libraries=("pandas",))
    for ahead in (False, True):
        assert _wait(executor, executor.submit(*bench.write(_SERVER))) == JobState("exited", 0)
        assert ("pandas" in bench.printed()) is ahead
    assert _wait(executor, executor.submit(*bench.write("x = 1"))) == JobState("exited", 0)
    body = "import pandas\npandas.DataFrame({'a': [1]}).sum().sum()\nprint(pandas.__spec__.loader.__class__.__name__)"
    assert _wait(executor, executor.submit(*bench.write(body))) == JobState("exited", 0)
    assert bench.printed() == "SourceFileLoader\n"
    executor.close()


@pytest.mark.long
@pytest.mark.parametrize(
    "body",
    [
        "import scipy.stats\nprint(scipy.stats.norm.rvs(size=3))",
        "import pandas\nprint(pandas.Series([1, 2, 3]).sample(2).tolist(), pandas.get_option('display.encoding'))",
        "from sklearn.linear_model import SGDClassifier\nprint(SGDClassifier().fit([[0], [1], [2]], [0, 1, 1]).coef_)",
        "import sklearn\nprint(hasattr(sklearn, 'svm'), hasattr(sklearn, 'datasets'))",
        "import torch, pandas\nprint(torch.rand(2), torch.get_num_threads())",
    ],
)
def test_a_job_gives_the_same_with_libraries_loaded_ahead(bench: Bench, body: str) -> None:
    names = ("pandas", "scipy.stats", "sklearn.linear_model", "sklearn.datasets", "torch")
    told = []
    for executor in (LocalExecutor(), LocalExecutor(libraries=names)):
        for _ in range(2):
            folder, spec = bench.write(body, seed=7)
            assert _wait(executor, executor.submit(folder, spec)) == JobState("exited", 0)
            outcome = read_verdict(folder, spec.token)
            assert outcome is not None
            told.append((bench.printed(), sorted(state.name for state in outcome.ambient), outcome.warnings))
        executor.close()
    assert told[1:] == told[:1] * 3


def test_a_job_that_is_cancelled_while_its_server_still_imports_never_begins(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = bench.root / "slow"
    slow.mkdir()
    (slow / "scipy.py").write_text("import time\ntime.sleep(4)")
    monkeypatch.setenv("PYTHONPATH", f"{slow}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    executor = LocalExecutor(libraries=("scipy",))
    _wait(executor, executor.submit(*bench.write("import scipy")))
    handle = executor.submit(*bench.write("import scipy, pathlib\npathlib.Path('begun').touch()"))
    executor.cancel(handle)
    assert executor.poll(handle) == JobState("exited", 130)
    assert _wait(executor, executor.submit(*bench.write("import scipy"))) == JobState("exited", 0)
    assert not (bench.project / "begun").exists()
    executor.submit(*bench.write("x = 1"))
    executor.close()


@pytest.mark.long
def test_a_folder_that_covers_a_part_of_a_library_gets_a_cold_kernel(bench: Bench) -> None:
    executor = LocalExecutor(libraries=("sklearn",))
    (bench.project / "threadpoolctl.py").write_text("raise RuntimeError('mine')")
    for _ in range(2):
        _wait(executor, executor.submit(*bench.write("import sklearn")))
        assert any("mine" in json.dumps(line) for line in bench.log())
    executor.close()


def test_a_module_of_the_project_is_not_the_one_that_the_parent_has_imported(bench: Bench) -> None:
    (bench.project / "papermill.py").write_text("mine = 1")
    assert bench.run("import papermill\nprint(papermill.mine)").status == "succeeded"


def test_a_server_that_cannot_load_ahead_loses_no_job(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = bench.root / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import sys\nif 'pandas' in sys.argv[2:] or 'pandas' in sys.orig_argv:\n    sys.exit(1)"
    )
    monkeypatch.setenv("PYTHONPATH", f"{broken}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    executor = LocalExecutor(libraries=("pandas",))
    for _ in range(3):
        assert _wait(executor, executor.submit(*bench.write("import pandas"))) == JobState("exited", 0)
    executor.close()
