"""A target that shares a store with this machine: what travels goes through it, and over the connection where it does not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from buckets import SECRET, Bucket, running_bucket
from executing import Ground, Job
from jobs import Bench
from runs import Site
from sshd import Sshd, install, running_sshd

from nbpipe.errors import TargetError
from nbpipe.executors.ssh.executor import SshExecutor
from nbpipe.executors.ssh.link import Link
from nbpipe.model import Artifact
from nbpipe.store import open_store

pytestmark = pytest.mark.engines

_CODE = "y = a[::-1].copy()"


@dataclass
class Shared:
    """A target with its shared store at `place`, the objects of which can be looked at and spoilt."""

    place: str
    ground: Ground
    worker: Path
    look: Callable[[], dict[str, bytes]]
    write: Callable[[str, bytes], None]
    #: Makes it unusable for everybody.
    end: Callable[[], None]
    #: What rsync was called with: what went over the connection but for a little.
    rsynced: list[list[str]]

    def given(self) -> dict[str, Artifact]:
        """An input of 2.4 MB."""
        return open_store(self.ground.bench.root / "store").save_values({"a": np.arange(300_000.0)}, stage="s")

    def run(self, code: str = _CODE) -> Job:
        job = self.ground.run(code, inputs=self.given(), outputs=("y",))
        assert job.outcome.status == "succeeded", job.outcome
        assert np.array_equal(self.ground.bench.load(job.outcome.outputs)["y"], np.arange(300_000.0)[::-1])
        return job

    def forget(self) -> None:
        """Neither side has anything of what was sent and computed."""
        for folder in (self.worker / "store", self.ground.bench.root / "store"):
            shutil.rmtree(folder / "objects")
            (folder / "objects").mkdir()


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with running_bucket() as running:
        yield running


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A machine whose own environment has what it signs in with."""
    install()
    own = ["AWS_ACCESS_KEY_ID=none", f"AWS_SECRET_ACCESS_KEY={SECRET}", "AWS_DEFAULT_REGION=us-east-1"]
    with running_sshd(tmp_path_factory.mktemp("sshd"), *own) as running:
        yield running


@pytest.fixture(params=["folder", "s3"])
def shared(
    request: pytest.FixtureRequest, tmp_path: Path, sshd: Sshd, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shared]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "mine"))
    for name, text in bucket.environment.items():
        monkeypatch.setenv(name, text)
    rsynced: list[list[str]] = []
    plain = Link.rsync

    def listening(link: Link, words: list[str], text: str = "") -> None:
        rsynced.append(words)
        plain(link, words, text)

    monkeypatch.setattr(Link, "rsync", listening)
    folder = tmp_path / "shared" / "objects"
    (tmp_path / "shared").mkdir()

    def write(name: str, data: bytes) -> None:
        path = folder / name[:2] / name
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    def found() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.glob("??/*")}

    def remove() -> None:
        shutil.rmtree(tmp_path / "shared")

    prefix = f"{tmp_path.name}/objects"
    places = {
        "folder": (str(tmp_path / "shared"), found, write, remove),
        "s3": (
            f"s3://stores/{tmp_path.name}",
            lambda: {key[-64:]: bucket.read(key) for key in bucket.keys(prefix)},
            lambda name, data: bucket.write(f"{prefix}/{name[:2]}/{name}", data),
            bucket.server.stop,
        ),
    }
    place, look, spoil, end = places[request.param]
    env = {"AWS_ENDPOINT_URL": bucket.environment["AWS_ENDPOINT_URL"]}
    target = sshd.target(sys.executable, store=place, folder=str(tmp_path / "worker"), env=env)
    ground = Ground(Bench(tmp_path), lambda: SshExecutor(target, here=lambda _: ""))
    yield Shared(place, ground, tmp_path / "worker", look, spoil, end, rsynced)
    ground.close()


def test_what_travels_goes_through_the_store_once_and_not_over_the_connection(shared: Shared) -> None:
    first = shared.run()
    assert "put 1 objects" in first.log
    assert "sent" not in first.log
    assert not shared.rsynced
    assert len(shared.look()) == 3  # the input, the result, the executed cells
    kept = shared.look()
    shared.forget()
    second = shared.run(_CODE + " ")
    assert "put 0 objects, 0 bytes" in second.log
    assert "which had 1 more" in second.log
    assert not shared.rsynced
    assert shared.look().items() >= kept.items()
    # Who may use the bucket stands in no file of either side.
    for path in [*shared.worker.rglob("*"), *(shared.ground.bench.root / "jobs").rglob("*")]:
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("size", [2_400_128, 1000])
def test_a_damaged_object_there_is_never_taken_and_is_replaced(shared: Shared, size: int) -> None:
    shared.run()
    sound = {name: data for name, data in shared.look().items() if len(data) > 1 << 20}
    assert len(sound) == 2  # the input and the result
    for name, data in sound.items():
        spoilt = bytes(data[:-1]) + b"\1" if size == len(data) else data[:size]
        assert spoilt != data
        shared.write(name, spoilt)
    shared.forget()
    job = shared.run()
    assert ("1 of 1 objects that were damaged" in job.log) == (size > 1000)
    assert shared.look().items() >= sound.items()
    shared.forget()
    assert "put 0 objects" in shared.run().log


def test_a_little_goes_over_the_connection(shared: Shared) -> None:
    given = open_store(shared.ground.bench.root / "store").save_values({"a": [1, 2]}, stage="s")
    job = shared.ground.run("y = a", inputs=given, outputs=("y",))
    assert shared.ground.bench.load(job.outcome.outputs) == {"y": [1, 2]}
    assert not shared.look()


@pytest.mark.parametrize("shared", ["folder"], indirect=True)
def test_where_large_results_stay_on_the_target_the_others_come_over_the_connection(shared: Shared) -> None:
    executor = shared.ground.executor
    assert isinstance(executor, SshExecutor)
    executor.leave = 1 << 30
    assert "put 1 objects" in shared.run().log
    assert len(shared.look()) == 1


def test_a_store_that_goes_away_meanwhile_costs_a_line_in_the_log(shared: Shared, tmp_path: Path) -> None:
    job = shared.ground.submit(
        f"import os, time\nprint('begun', flush=True)\nwhile not os.path.exists({str(tmp_path / 'go')!r}):\n"
        f"    time.sleep(0.05)\n{_CODE}",
        inputs=shared.given(),
        outputs=("y",),
    )
    job.await_log("begun")
    assert not shared.rsynced
    shared.end()
    (tmp_path / "go").touch()
    job.wait(120)
    assert np.array_equal(shared.ground.bench.load(job.outcome.outputs)["y"], np.arange(300_000.0)[::-1])
    assert "cannot be used" in job.log
    assert shared.rsynced
    # The next job does not try again.
    shared.forget()
    assert "cannot be used" not in shared.run(_CODE + " ").log


def test_a_store_that_cannot_be_used_from_here_is_done_without_and_named_by_the_doctor(shared: Shared) -> None:
    shared.end()
    job = shared.run()
    assert f"the shared store {shared.place} cannot be used" in job.log
    assert "sent" in job.log
    executor = shared.ground.executor
    assert isinstance(executor, SshExecutor)
    with pytest.raises(TargetError, match=r"from here: the shared store .* cannot be used"):
        executor.try_store()


def test_a_store_that_the_target_cannot_use_is_done_without_and_named_by_the_doctor(
    shared: Shared, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody listens there; a path that leads elsewhere for a process that works elsewhere.
    monkeypatch.chdir(tmp_path)
    env = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    place = shared.place if shared.place.startswith("s3") else "/proc/self/cwd/shared"
    target = sshd.target(sys.executable, store=place, folder=str(tmp_path / "worker"), env=env)
    shared.ground.first = SshExecutor(target, here=lambda _: "")
    try:
        job = shared.run()
        assert "(on the target)" in job.log
        assert "sent" in job.log
        with pytest.raises(TargetError, match=r"from there: (the shared store .* cannot be used|object .* is not in)"):
            shared.ground.first.try_store()
    finally:
        shared.ground.first.close()


def test_the_doctor_tries_the_store_from_both_sides_and_leaves_nothing(shared: Shared) -> None:
    executor = shared.ground.executor
    assert isinstance(executor, SshExecutor)
    (said,) = executor.try_store().values()
    assert "another came back" in said
    assert not shared.look()


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_where_the_projects_own_store_is_the_shared_one_nothing_is_copied_twice(
    kind: str, site: Site, sshd: Sshd, bucket: Bucket
) -> None:
    place = str(site.root / "shared") if kind == "folder" else f"s3://stores/{site.root.name}"
    (site.folder / "nbpipe.toml").write_text(
        f'[targets.box]\nkind = "ssh"\nhost = "127.0.0.1"\nport = {sshd.port}\npython = "{sys.executable}"\n'
        f'config = "{sshd.root}/client"\nfolder = "{site.root}/worker"\nstore = "{place}"\n'
        f'env = {{ AWS_ENDPOINT_URL = "{bucket.environment["AWS_ENDPOINT_URL"]}" }}\n'
    )
    own = {**bucket.environment, "NBPIPE_STORE": place}
    load = "%%stage load\nimport numpy as np\nrows = np.arange(300_000.0)"
    train = "%%stage train --on box\nbig = np.tile(rows, 10)"
    there = "%%stage half --on box --metrics half\nhalf = float(big[: len(big) // 2].sum())"
    site.write(load, train, there)
    done = site.run(prepare=None, **own)
    assert done.code == 0, done.err
    (log,) = (path.read_text() for path in site.project.runs.glob(f"{done.json['run']}/jobs/train.*/log.jsonl"))
    assert f"put 0 objects, 0 bytes, into {place}, which had 1 more" in log
    assert "sent" not in log
    assert set(site.run(prepare=None, **own).stages.values()) == {"cached"}
    large = 24_000_000
    if kind == "s3":
        assert sum(size > large for size in bucket.keys(f"{site.root.name}/objects").values()) == 1
        cached = [path for path in (site.root / "cache").rglob("*") if path.is_file() and path.stat().st_size > large]
        assert not cached
    else:
        files = (path for path in (site.root / "worker").rglob("*") if path.is_file())
        (kept,) = (path for path in files if path.stat().st_size > large)
        assert kept.stat().st_nlink == 2 or _reflinks(site.root)
    site.write(load, train, there, "%%stage after --metrics total\ntotal = float(big.sum())")
    after = site.run(prepare=None, **own)
    assert after.code == 0, after.err
    assert after.stages == {"load": "cached", "train": "cached", "half": "cached", "after": "succeeded"}
    total = float(np.arange(300_000.0).sum())
    assert after.json["metrics"] == {"half": 5 * total, "total": 10 * total}


def test_what_is_wrong_with_the_store_is_said_before_a_run_and_refuses_none(site: Site, sshd: Sshd) -> None:
    config = (
        f'[targets.box]\nkind = "ssh"\nhost = "127.0.0.1"\nport = {sshd.port}\npython = "{sys.executable}"\n'
        f'config = "{sshd.root}/client"\nfolder = "{site.root}/worker"\nstore = "{site.root}/shared"\n'
    )
    (site.folder / "nbpipe.toml").write_text(config)
    wrong = site.command("target", "test", "box")
    assert wrong.code == 0
    assert "the shared store" in wrong.out
    assert "cannot be used" in wrong.out
    (site.root / "shared").mkdir()
    assert "store" not in site.command("target", "test", "box").out
    assert "another came back" in site.command("target", "doctor", "box").out


def _reflinks(folder: Path) -> bool:
    """Whether files there may share their blocks."""
    (folder / "one").write_bytes(b"x" * 8192)
    return subprocess.run(["cp", "--reflink=always", folder / "one", folder / "two"], check=False).returncode == 0
