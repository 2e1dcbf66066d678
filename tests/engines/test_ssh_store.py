"""A target that shares a store with this machine: what travels goes through it, and over the connection where it does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from buckets import SECRET, Bucket, running_bucket
from runs import Site
from sshd import Sshd, install, running_sshd
from through import *  # noqa: F403 - what holds for every target
from through import Through, through_folder, through_place

from nbpipe.errors import TargetError
from nbpipe.executors.ssh.executor import SshExecutor
from nbpipe.store import open_store

pytestmark = pytest.mark.engines


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
def through(
    request: pytest.FixtureRequest, tmp_path: Path, sshd: Sshd, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Through]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "mine"))
    for name, text in bucket.environment.items():
        monkeypatch.setenv(name, text)
    env = {"AWS_ENDPOINT_URL": bucket.environment["AWS_ENDPOINT_URL"]}
    make = partial(sshd.target, sys.executable, env=env)
    if request.param == "folder":
        with through_folder(tmp_path, make, monkeypatch) as made:
            yield made
        return
    prefix = f"{tmp_path.name}/objects"
    with through_place(
        tmp_path,
        make(store=f"s3://stores/{tmp_path.name}", folder=str(tmp_path / "worker")),
        lambda: {key[-64:]: bucket.read(key) for key in bucket.keys(prefix)},
        lambda name, data: bucket.write(f"{prefix}/{name[:2]}/{name}", data),
        bucket.server.stop,
        monkeypatch,
    ) as made:
        made.secret = SECRET
        yield made


def test_a_little_goes_over_the_connection(through: Through) -> None:
    given = open_store(through.ground.bench.root / "store").save_values({"a": [1, 2]}, stage="s")
    job = through.ground.run("y = a", inputs=given, outputs=("y",))
    assert through.ground.bench.load(job.outcome.outputs) == {"y": [1, 2]}
    assert not through.look()


@pytest.mark.parametrize("through", ["folder"], indirect=True)
def test_where_large_results_stay_on_the_target_the_others_come_over_the_connection(through: Through) -> None:
    executor = through.ground.executor
    assert isinstance(executor, SshExecutor)
    executor.leave = 1 << 30
    assert "put 1 objects" in through.run().log
    assert len(through.look()) == 1


def test_a_store_that_cannot_be_used_from_here_is_done_without_and_named_by_the_doctor(through: Through) -> None:
    through.end()
    job = through.run()
    assert f"the shared store {through.target.store} cannot be used" in job.log
    assert "sent" in job.log
    executor = through.ground.executor
    assert isinstance(executor, SshExecutor)
    with pytest.raises(TargetError, match=r"from here: the shared store .* cannot be used"):
        executor.try_store()


def test_a_store_that_the_target_cannot_use_is_done_without_and_named_by_the_doctor(
    through: Through, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody listens there; a path that leads elsewhere for a process that works elsewhere.
    monkeypatch.chdir(tmp_path)
    env = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    place = through.target.store if through.target.store.startswith("s3") else "/proc/self/cwd/shared"
    target = sshd.target(sys.executable, store=place, folder=str(tmp_path / "worker"), env=env)
    through.ground.first = SshExecutor(target, here=lambda _: "")
    try:
        job = through.run()
        assert "(on the target)" in job.log
        assert "sent" in job.log
        with pytest.raises(TargetError, match=r"from there: (the shared store .* cannot be used|object .* is not in)"):
            through.ground.first.try_store()
    finally:
        through.ground.first.close()


def test_the_doctor_tries_the_store_from_both_sides_and_leaves_nothing(through: Through) -> None:
    executor = through.ground.executor
    assert isinstance(executor, SshExecutor)
    (said,) = executor.try_store().values()
    assert "another came back" in said
    assert not through.look()


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
