"""The agent of a target that names no host runs on this machine: what holds for it holds at the end of a wire."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from executing import Job, gone
from jobs import Bench

from nbpipe.errors import TargetError
from nbpipe.executors.ssh import link as links
from nbpipe.executors.ssh.executor import SshExecutor, worker_key
from nbpipe.executors.ssh.link import Link, LinkDown
from nbpipe.executors.ssh.there import environment
from nbpipe.executors.ssh.transfer import LITTLE, fetch_job
from nbpipe.job.folder import KEPT
from nbpipe.job.kept import Kept
from nbpipe.model import Outcome
from nbpipe.run.kept import other_secrets
from nbpipe.store import open_store
from nbpipe.store.trust import Signer
from nbpipe.targets.settings import Target


@pytest.fixture
def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Link]:
    home = tmp_path / "home"
    home.mkdir()
    # A module of the user's own, where people keep such things.
    (home / "json.py").write_text("raise SystemExit('taken for the one of Python')\n")
    monkeypatch.chdir(home)
    target = Target(name="c", kind="slurm", python=sys.executable, folder=str(tmp_path / "shared"))
    made = Link(target, lambda _: None)
    made.connect()
    yield made
    made.drop()
    made.close()


def test_modules_of_the_folder_it_is_started_in_are_not_taken_for_pythons(link: Link, tmp_path: Path) -> None:
    assert link.root == str(tmp_path / "shared")
    assert link.call("ping") == ""


def test_a_frozen_agent_is_noticed_and_the_next_connection_is_another(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert link._process is not None
    frozen = link._process.pid
    link.check()
    os.kill(frozen, signal.SIGSTOP)
    with monkeypatch.context() as soon:
        soon.setattr(links, "_QUIET", 0.3)
        time.sleep(0.4)
        with pytest.raises(LinkDown, match="no answer"):
            link.check()
    link.connect()
    assert link._process.pid != frozen
    link.call("ping")


def test_what_was_not_asked_for_is_not_taken_though_it_is_sent(
    link: Link, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = tmp_path / "shared" / "work" / "f00-0" / "job", tmp_path / "here"
    (there / "undo").mkdir(parents=True)
    here.mkdir()
    (there / "undo" / "0").write_text("theirs")
    (there / "verdict.json").write_text("theirs")
    (there / "executed.ipynb").write_bytes(b"x" * (LITTLE + 1))
    (there / "passwd").symlink_to("/etc/passwd")
    plain = link.rsync
    sent: list[str] = []

    def careless(words: list[str], text: str = "") -> None:
        sent.extend(words)
        plain([word for word in words if not word.startswith(("--exclude", "--no-links"))] + ["--links"], text)

    monkeypatch.setattr(link, "rsync", careless)
    fetch_job(link, "f00-0", here, without=("verdict.json", "undo"))
    assert any(word.startswith("--exclude") for word in sent)
    assert [path.name for path in here.rglob("*")] == ["executed.ipynb"]


def test_what_the_scheduler_lacks_is_said(link: Link) -> None:
    with pytest.raises(TargetError, match="sinfo"):
        link.call("facts", distributions=[], gpus=None)


def test_environments_are_built_beside_all_else_and_a_failure_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    go, told = threading.Event(), threading.Event()
    ended: list[Exception | str] = [RuntimeError("uv cannot build it"), "/env/bin/python"]

    def build(*asked: Any) -> str:
        asked[-1]("Downloading torch (821.1MiB)")
        told.set()
        assert go.wait(30)
        found = ended.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(environment, "build", build)
    monkeypatch.setattr(environment, "_uv", lambda: "uv")
    builds = environment.Builds()
    order = ("/root", "name", "3.11", ["a==1"], "")
    assert builds.build(*order) == ""
    assert told.wait(30)
    assert builds.said == {"name": "Downloading torch (821.1MiB)"}
    go.set()
    monkeypatch.setattr(environment, "_MOMENT", 30.0)
    with pytest.raises(RuntimeError, match="uv cannot build it"):
        builds.build(*order)
    assert builds.build(*order) == "/env/bin/python"


def test_where_there_is_no_uv_it_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise RuntimeError("there is no `uv`")

    monkeypatch.setattr(environment, "_uv", none)
    with pytest.raises(RuntimeError, match="no `uv`"):
        environment.Builds().build("/root", "name", "3.11", [], "")


def test_packages_that_were_replaced_since_are_found_out_and_others_cost_no_new_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    (site / "pretended-1.0.dist-info").mkdir(parents=True)
    _describe(site / "pretended-1.0.dist-info", "1.0")
    monkeypatch.setenv("PYTHONPATH", str(site))
    target = Target(name="c", kind="ssh", python=sys.executable, folder=str(tmp_path / "worker"))
    executor = SshExecutor(target, here=lambda _: "")
    executor.refresh()
    assert executor.facts(["pretended"])["packages"]["pretended"] == "1.0"
    executor.refresh()
    (site / "notes.txt").touch()
    executor.refresh()
    assert executor._link.generation == 1
    (site / "pretended-1.0.dist-info").rename(site / "pretended-2.0.dist-info")
    _describe(site / "pretended-2.0.dist-info", "2.0")
    executor.refresh()
    assert executor.facts(["pretended"])["packages"]["pretended"] == "2.0"
    assert executor._link.generation == 2
    executor.close()


def _describe(info: Path, version: str) -> None:
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pretended\nVersion: {version}\n")


@pytest.mark.long
@pytest.mark.parametrize("lost", ["no answer", "an answer"])
def test_a_kernel_goes_on_once_though_the_answer_is_lost_and_is_gone_after_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    bench = Bench(tmp_path)
    monkeypatch.setenv("API_KEY", "first-value")
    folder = str(tmp_path / "worker")
    target = Target(name="c", kind="ssh", python=sys.executable, folder=folder, keep_failed=60.0)
    first = SshExecutor(target, here=lambda _: "")
    cells = ("import os\na = [1]\nprint(f'pid={os.getpid()};')", "a.append(2)\n1 / 0")
    failed = _submitted(first, bench, *cells, secrets=("API_KEY",))
    assert failed.wait().returncode == 1
    kept = msgspec.json.decode((failed.folder / KEPT).read_bytes(), type=Kept)
    assert (kept.job, kept.index) == (f"{failed.spec.token}-0", 1)
    worker = Signer(worker_key(open_store(failed.spec.store), "c", "").encode())
    assert other_secrets(kept, failed.spec, worker) == ""
    monkeypatch.setenv("API_KEY", "another-value")
    assert "secret" in other_secrets(kept, failed.spec, worker)
    monkeypatch.setenv("API_KEY", "first-value")
    assert not any(b"first-value" in path.read_bytes() for path in failed.folder.rglob("*") if path.is_file())
    kernel = int(failed.log.partition("pid=")[2].partition(";")[0])
    assert first.facts()["kept"] == 1
    first.close()
    # Whoever has hung up takes nothing with them.
    assert not gone(kernel, 0.5)
    second = SshExecutor(target, here=lambda _: "")
    call = second._link.call

    def losing(do: str, **asked: Any) -> Any:
        if do != "resume" or not losses:
            return call(do, **asked)
        losses.clear()
        found = call(do, **asked) if lost == "an answer" else None
        second._link.drop()
        raise LinkDown(f"lost after {found}")

    losses = ["once"]
    second._link.call = losing  # type: ignore[method-assign]
    goes = _submitted(second, bench, cells[0], "b = [*a, 3]", continues=kept.job, first=1, outputs=("b",))
    assert goes.wait().returncode == 0, goes.log
    assert bench.load(goes.outcome.outputs) == {"b": [1, 2, 3]}
    assert goes.outcome.continued == ("train",)
    assert goes.log.count("goes on at cell 2") == 1
    assert gone(kernel, 10)
    late = _submitted(second, bench, cells[0], "b = [*a, 4]", continues=kept.job, first=1, outputs=("b",))
    assert late.wait().returncode == 0, late.log
    assert "begins at its first cell" in late.log
    assert bench.load(late.outcome.outputs) == {"b": [1, 4]}
    assert late.outcome.continued == ()
    assert list((tmp_path / "worker" / "work").iterdir()) == []
    second.close()


@pytest.mark.long
def test_a_job_that_is_killed_has_no_verdict_though_its_runner_had_begun_to_say_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    target = Target(name="c", kind="ssh", python=sys.executable, folder=str(tmp_path / "worker"))
    executor = SshExecutor(target, here=lambda _: "")
    job = _submitted(executor, bench, "import time\nprint('begun', flush=True)\ntime.sleep(60)")
    job.await_log("begun")
    said = Outcome(stage=job.spec.stage, attempt=1, token=job.spec.token, status="cancelled")
    work = tmp_path / "worker" / "work" / f"{job.spec.token}-0" / "job"
    (work / "verdict.json").write_bytes(msgspec.json.encode(said))
    executor.cancel(job.handle, force=True)
    assert job.wait(20).returncode == -9
    assert job.verdict is None
    executor.close()


def _submitted(executor: SshExecutor, bench: Bench, *cells: str, **fields: Any) -> Job:
    folder, spec = bench.write(*cells, **fields)
    return Job(executor, folder, spec, executor.submit(folder, spec))
