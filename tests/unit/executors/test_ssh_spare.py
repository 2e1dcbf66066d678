"""How a job begins on the other machine: in a runner that was ready, or forked from a process that outlives the connection."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import psutil
import pytest
from jobs import Bench
from parents import of_their_own

from nbpipe.executors import warm
from nbpipe.executors.ssh.there import keeper, spare
from nbpipe.job import sockets
from nbpipe.job.elsewhere import Shipment
from nbpipe.job.folder import SHIPMENT, read_verdict, write_spec
from nbpipe.job.launch import HASH_SEED

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked elsewhere")
_KEEP = 60.0


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with of_their_own() as folder:
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        monkeypatch.setenv("TMPDIR", str(folder))
        yield folder


@pytest.fixture
def work(tmp_path: Path) -> Callable[..., str]:
    """Make the folder of a job with this code, which is named."""

    def make(name: str, body: str) -> str:
        folder = tmp_path / name
        project = f"{folder}/project"
        write_spec(folder / "job", Bench(tmp_path).spec(body, project=project, cwd=project, token=name))
        (folder / "job" / SHIPMENT).write_bytes(msgspec.json.encode(Shipment()))
        (folder / "asked").touch()
        return str(folder)

    return make


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, **HASH_SEED, **more}


def _forked(work: str, folder: Path) -> spare.Forked:
    """A job that has begun."""
    server = spare.Server("", _environment(), str(folder), _KEEP)
    runner = server.begin(work, _environment())
    server.close()
    assert runner is not None
    _until(Path(work, "project", "begun").exists)
    assert runner.poll() is None
    return runner


def _status(work: str) -> str:
    verdict = read_verdict(Path(work) / "job", Path(work).name)
    return verdict.status if verdict is not None else "none"


def _is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


def _until(what: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_jobs_of_two_connections_are_forked_from_one_process_and_each_has_its_own_variables(
    work: Callable[..., str], tmp_path: Path
) -> None:
    found = []
    for name in ("one", "two"):
        folder = work(name, "import os\nopen('said', 'w').write(os.environ['WHO'] + str('OTHER' in os.environ))")
        # Logins differ in this, and it is gone after the last.
        environment = _environment(XDG_RUNTIME_DIR=f"/run/user/{name}", SSH_CLIENT=name)
        server = spare.Server("", environment, str(tmp_path), _KEEP)
        runner = server.begin(folder, _environment(WHO=name, **({"OTHER": "1"} if name == "one" else {})))
        assert runner is not None
        assert runner.wait(60) == 0
        server.close()
        assert _status(folder) == "succeeded"
        assert Path(folder, "project", "said").read_text() == f"{name}{name == 'one'}"
        found += [pid for pid, _ in warm.parents()]
    assert len(found) == 2
    assert len(set(found)) == 1


def test_a_job_ends_with_whoever_keeps_it_and_with_its_server(work: Callable[..., str], tmp_path: Path) -> None:
    body = "open('begun', 'w').close()\nimport time\ntime.sleep(600)"
    runner = _forked(work("one", body), tmp_path)
    runner._channel.close()
    _until(partial(_is_gone, runner.pid))
    runner = _forked(work("two", body), tmp_path)
    os.kill(psutil.Process(runner.pid).ppid(), signal.SIGKILL)
    assert runner.wait(60) == -signal.SIGKILL
    _until(partial(_is_gone, runner.pid))


def test_what_is_kept_warm_knows_no_secret_of_a_job(work: Callable[..., str], tmp_path: Path) -> None:
    ready = spare.Spare(keeper, str(tmp_path), _KEEP)
    ready.have(dict(HASH_SEED), "")
    # The first goes to the keeper that waits, the second to a new one.
    folders = [work(name, "import os\nassert os.environ['A_SECRET'] == 'hidden'") for name in ("one", "two")]
    for folder in folders:
        order = {"work": folder, "environment": _environment(A_SECRET="hidden"), "devices": (0, []), "patience": 600.0}  # noqa: S106
        ready.begin(order, "")
    _until(lambda: all(Path(folder, "rc.json").exists() for folder in folders))
    assert [keeper.read(folder + "/rc.json") for folder in folders] == [{"code": 0}] * 2
    kept = warm.parents()
    assert len(kept) in (1, 2)  # each finds none where both look at once
    assert not any("A_SECRET" in psutil.Process(pid).environ() for pid, _ in kept)


def test_where_there_is_no_server_the_job_runs_in_a_process_of_its_own(
    work: Callable[..., str], tmp_path: Path
) -> None:
    folder = work("one", "x = 1")
    server = spare.Server("/bin/false", _environment(), str(tmp_path), _KEEP)
    keeper.keep(folder, spare.runner(""), _environment(), (0, []), 600.0, ready=server)
    server.close()
    assert keeper.read(folder + "/rc.json") == {"code": 0}
    assert _status(folder) == "succeeded"
    assert warm.parents() == []


def test_where_nothing_is_kept_warm_one_waits_as_long_as_it_is_waited_with(
    work: Callable[..., str], tmp_path: Path
) -> None:
    folder = work("one", "x = 1")
    ready = spare.Runner(spare.runner(""), _environment(), str(tmp_path))
    runner = ready.begin(folder, _environment())
    assert runner is not None
    assert runner.wait(60) == 0
    assert _status(folder) == "succeeded"
    unused = spare.Runner(spare.runner(""), _environment(), str(tmp_path))
    unused.close()
    assert warm.parents() == []


def test_one_login_is_as_good_as_another(monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for group in ("user-1000.slice/session-3.scope", "user-1000.slice/session-c41.scope", "user-1000.slice/job.scope"):
        monkeypatch.setattr(
            sockets, "_text", lambda path, group=group: f"0::/user.slice/{group}\n" * ("cgroup" in path)
        )
        names.append(sockets.name(_KEEP))
    assert names[0] == names[1] != names[2]
