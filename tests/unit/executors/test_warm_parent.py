"""The process that outlives runs: what it forks is what a new process would be, and it is gone when it should be."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from jobs import Bench
from parents import of_their_own

from nbpipe.executors import warm
from nbpipe.executors.local import LocalExecutor
from nbpipe.job import sockets
from nbpipe.job.folder import KERNEL_PID, read_verdict

_T = TypeVar("_T")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked elsewhere")


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with of_their_own() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        yield folder


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _parent(keep: float = 60.0) -> int:
    """Process id of the parent that this process gets, which is ready then."""
    channel = warm.connect(keep)
    assert channel is not None
    with channel:
        return _wait_for(warm.parents)[0][0]


def _wait_for(what: Callable[[], _T], seconds: float = 120) -> _T:
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def _text_of(bench: Bench, code: str) -> str:
    """What a job writes to `said`, run by an executor that keeps a parent."""
    said = bench.root / "said"
    folder, spec = bench.write(f"import os, sys\nopen({str(said)!r}, 'w').write(str({code}))")
    executor = LocalExecutor(cpus=1, keep=60.0)
    try:
        handle = executor.submit(folder, spec)
        _wait_for(lambda: executor.poll(handle).state != "running")
    finally:
        executor.close()
    outcome = read_verdict(folder, spec.token)
    assert outcome is not None
    assert outcome.status == "succeeded", outcome.failure
    return said.read_text()


def test_two_executors_one_after_the_other_use_one_parent(bench: Bench) -> None:
    line = "open(f'/proc/{os.getpid()}/status').read()"
    assert _text_of(bench, line)
    first = warm.parents()
    assert _text_of(bench, line)
    assert [pid for pid, _ in warm.parents()] == [pid for pid, _ in first]
    assert len(first) == 1


def test_a_job_has_the_environment_of_the_second_caller_and_nothing_of_the_first(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBPIPE_OF_THE_FIRST", "1")
    _text_of(bench, "1")
    monkeypatch.delenv("NBPIPE_OF_THE_FIRST")
    monkeypatch.setenv("TERM_OF_THE_SECOND", "2")
    names = "sorted(name for name in os.environ if '_OF_THE_' in name)"
    assert _text_of(bench, names) == "['TERM_OF_THE_SECOND']"
    assert len(warm.parents()) == 1


def test_what_a_process_has_from_its_start_tells_parents_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    own = sockets.name(60.0)
    monkeypatch.setenv("NBPIPE_TRIALS", "of this test")
    assert sockets.name(60.0) == own
    with monkeypatch.context() as other:
        other.setenv("OMP_NUM_THREADS", "1")
        assert sockets.name(60.0) != own
    before = os.umask(0o027)
    try:
        assert sockets.name(60.0) != own
    finally:
        os.umask(before)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    try:
        assert sockets.name(60.0) != own
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert sockets.name(60.0) == own


def test_a_parent_that_imported_a_file_which_has_changed_is_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("x = 1\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(own), os.environ.get("PYTHONPATH", "")]))
    first = _parent()
    assert _parent() == first
    (own / "sitecustomize.py").write_text("x = 22\n")
    second = _parent()
    assert second != first
    _wait_for(lambda: not _lives(first))


def test_a_parent_that_nobody_uses_ends_and_leaves_no_socket(runtime: Path) -> None:
    pid = _parent(keep=1.0)
    _wait_for(lambda: not _lives(pid))
    assert list(runtime.rglob("*.sock")) == []


def test_there_are_four_at_most(monkeypatch: pytest.MonkeyPatch, runtime: Path) -> None:
    found = []
    for number in range(5):
        monkeypatch.setenv("OF_ITS_OWN", str(number))
        channel = warm.connect(60.0)
        assert channel is not None
        found.append(channel)
    assert len(list(runtime.rglob("*.sock"))) == 4
    _wait_for(lambda: len(warm.parents()) == 4)
    for channel in found:
        channel.close()


def test_a_folder_that_others_may_write_to_is_not_used(bench: Bench, runtime: Path) -> None:
    (runtime / "nbpipe").mkdir()
    (runtime / "nbpipe").chmod(0o770)
    assert warm.connect(60.0) is None
    assert _text_of(bench, "6 * 7") == "42"


def test_what_is_no_parent_any_more_is_replaced(bench: Bench, runtime: Path) -> None:
    _text_of(bench, "1")
    place = next(runtime.rglob("*.sock"))
    os.kill(warm.parents()[0][0], signal.SIGKILL)
    assert _text_of(bench, "2") == "2"
    assert next(runtime.rglob("*.sock")) == place
    assert len(warm.parents()) == 1


def test_a_silent_socket_in_its_place_costs_a_wait_and_no_result(
    bench: Bench, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _text_of(bench, "1")
    place = next(runtime.rglob("*.sock"))
    place.unlink()
    monkeypatch.setattr(warm, "_PATIENCE", 0.3)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(place))
        silent.listen(1)
        assert _text_of(bench, "2") == "2"


def test_a_driver_that_is_killed_takes_its_jobs_along_and_the_parent_stays(bench: Bench, tmp_path: Path) -> None:
    folder, _ = bench.write("import time\ntime.sleep(600)")
    program = (
        "import sys, time\nfrom pathlib import Path\n"
        "from nbpipe.executors.local import LocalExecutor\nfrom nbpipe.job.folder import read_spec\n"
        "made = LocalExecutor(cpus=1, keep=60.0)\n"
        "made.submit(Path(sys.argv[1]), read_spec(Path(sys.argv[1])))\ntime.sleep(600)\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", program, str(folder)])
    _wait_for(lambda: (folder / KERNEL_PID).exists() and (folder / KERNEL_PID).read_text())
    kernel = int((folder / KERNEL_PID).read_text())
    driver.kill()
    driver.wait()
    _wait_for(lambda: not _lives(kernel))
    parent = _wait_for(warm.parents)[0][0]
    _wait_for(lambda: not psutil.Process(parent).children())


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_parent_for_each_set_of_libraries_loaded_ahead(runtime: Path) -> None:
    channels = [warm.connect(60.0, names) for names in ((), ("pandas",), ("pandas.api",), ("torch", "pandas"))]
    assert all(channels)
    assert len(list(runtime.rglob("*.sock"))) == 3
    for channel in filter(None, channels):
        channel.close()


def test_a_relative_python_path_is_that_of_the_caller(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (bench.root / "src").mkdir()
    (bench.root / "src/only_here.py").touch()
    monkeypatch.chdir(bench.root)
    monkeypatch.setenv("PYTHONPATH", f"src{os.pathsep}{Path(warm.__file__).parents[2]}")
    executor = LocalExecutor(keep=60.0)
    handle = executor.submit(*bench.write("import only_here"))
    while executor.poll(handle).state == "running":
        time.sleep(0.02)
    assert executor.poll(handle).returncode == 0
    executor.close()
