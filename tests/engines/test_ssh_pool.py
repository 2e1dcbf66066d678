"""Several machines that ssh reaches, as one target: jobs are spread, and no GPU is given out twice."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from executing import Ground, Job
from jobs import Bench
from places import Place
from runs import Site
from sshd import Sshd, install, running_sshd

from nbpipe.executors.base import JobState
from nbpipe.executors.ssh.pool import PoolExecutor
from nbpipe.executors.ssh.there.keeper import lock
from nbpipe.targets.settings import Target

pytestmark = pytest.mark.engines

#: Prints which host it is on, and what it was given there, and stays.
_HOLD = (
    "import os, time\nprint('on=' + os.environ['HOST'] + os.environ.get('CUDA_VISIBLE_DEVICES', '-') + ';', flush=True)\n"
    "time.sleep({})"
)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Sshd]]:
    """Two, which `ssh a` and `ssh b` reach. Each has two GPUs that are called after it."""
    install()
    root = tmp_path_factory.mktemp("pool")
    given = {name: (f"HOST={name}", f"HOME={root}/{name}", f"CUDA_VISIBLE_DEVICES={name}0,{name}1") for name in "ab"}
    with running_sshd(root / "a", *given["a"]) as one, running_sshd(root / "b", *given["b"]) as other:
        aliases = "".join(
            f"Host {name}\n  HostName 127.0.0.1\n  Port {sshd.port}\n  IdentityFile {sshd.root}/user\n"
            f"  UserKnownHostsFile {sshd.root}/known\n"
            for name, sshd in (("a", one), ("b", other))
        )
        (root / "client").write_text(f"{aliases}Host *\n  StrictHostKeyChecking accept-new\n  IdentitiesOnly yes\n")
        yield {"a": one, "b": other}


@pytest.fixture
def target(hosts: dict[str, Sshd]) -> Target:
    return Target(
        name="pool",
        kind="ssh",
        hosts=("a", "b"),
        python=sys.executable,
        config=str(hosts["a"].root.parent / "client"),
        folder="~/worker",
        patience=20.0,
    )


@pytest.fixture
def ground(target: Target, tmp_path: Path) -> Iterator[Ground]:
    place = Place(target)
    place.bench = Bench(tmp_path)
    made = Ground(place.bench, lambda: PoolExecutor(target, here=place.digest))
    yield made
    made.close()


def _given(job: Job) -> str:
    """The host and the devices of a job of `_HOLD`."""
    job.await_log("on=")
    return job.log.partition("on=")[2].partition(";")[0]


def _end(jobs: list[Job]) -> None:
    for job in jobs:
        job.executor.cancel(job.handle, force=True)
        job.wait(10)


def test_jobs_go_where_there_is_room_and_two_runs_never_have_the_same_gpu(ground: Ground) -> None:
    mine, theirs = ground.executor, ground.another()
    assert mine.capacity.gpus == 4
    jobs = [ground.submit_to(mine, _HOLD.format(60), gpus=1.0) for _ in range(2)]
    assert {_given(job)[0] for job in jobs} == {"a", "b"}
    others = [ground.submit_to(theirs, _HOLD.format(60), gpus=1.0) for _ in range(2)]
    assert {_given(job)[0] for job in others} == {"a", "b"}
    waits = ground.submit_to(theirs, _HOLD.format(0), gpus=1.0)
    devices = [_given(job)[1:] for job in (*jobs, *others)]
    assert sorted(devices) == ["a0", "a1", "b0", "b1"]
    assert waits.executor.poll(waits.handle) == JobState("running", begun=False)
    assert f"pool: on {_given(jobs[0])[0]}" in jobs[0].log
    _end([*jobs, *others])
    assert waits.wait() == JobState("exited", 0)


def test_a_host_whose_gpus_somebody_else_has_gets_no_job_that_needs_one(ground: Ground) -> None:
    held = [lock(name, shared=False) for name in ("a0", "a1")]
    try:
        jobs = [ground.submit(_HOLD.format(60), gpus=1.0) for _ in range(2)]
        assert sorted(_given(job) for job in jobs) == ["bb0", "bb1"]
        _end(jobs)
    finally:
        for descriptor in held:
            assert descriptor is not None
            os.close(descriptor)


def test_another_client_finds_a_job_on_the_host_that_has_it(ground: Ground) -> None:
    jobs = [ground.submit(_HOLD.format(1.5) + f"\nx = {number}", outputs=("x",)) for number in range(2)]
    assert {_given(job)[0] for job in jobs} == {"a", "b"}
    assert isinstance(ground.executor, PoolExecutor)
    for host in ground.executor._hosts:
        host._link.close()
    other = ground.another()
    # In another order: each would be given to the other host, were it not there already.
    again = [Job(other, job.folder, job.spec, other.submit(job.folder, job.spec)) for job in reversed(jobs)]
    assert [job.wait() for job in again] == [JobState("exited", 0)] * 2
    assert [ground.bench.load(job.outcome.outputs)["x"] for job in again] == [1, 0]
    assert all("attached" in job.log for job in again)


def test_a_host_that_is_away_gets_no_jobs_and_the_pool_goes_on(ground: Ground, hosts: dict[str, Sshd]) -> None:
    hosts["b"].stop()
    try:
        executor = ground.another()
        assert isinstance(executor, PoolExecutor)
        assert list(executor.each()) == ["a"]
        assert executor.capacity.gpus == 2
    finally:
        hosts["b"].start()
    # Nobody has compared the packages of the one that is back.
    jobs = [ground.submit_to(executor, _HOLD.format(0)) for _ in range(2)]
    assert [_given(job)[0] for job in jobs] == ["a", "a"]
    assert [job.wait() for job in jobs] == [JobState("exited", 0)] * 2


def test_a_part_of_a_gpu_goes_where_others_have_parts(ground: Ground) -> None:
    held = [lock(name, shared=name.startswith("b")) for name in ("a0", "a1", "b0", "b1")]
    try:
        job = ground.submit(_HOLD.format(0), gpus=0.5)
        assert _given(job) == "bb0"
        assert job.wait() == JobState("exited", 0)
    finally:
        for descriptor in held:
            assert descriptor is not None
            os.close(descriptor)


def test_a_host_that_goes_away_during_a_run_gets_no_more_jobs(ground: Ground, hosts: dict[str, Sshd]) -> None:
    executor = ground.another()
    first = [ground.submit_to(executor, _HOLD.format(0)) for _ in range(2)]
    assert {_given(job)[0] for job in first} == {"a", "b"}
    for job in first:
        job.wait()
    hosts["b"].stop()
    try:
        jobs = [ground.submit_to(executor, _HOLD.format(0)) for _ in range(2)]
        assert [_given(job)[0] for job in jobs] == ["a", "a"]
        assert [job.wait() for job in jobs] == [JobState("exited", 0)] * 2
    finally:
        hosts["b"].start()


def test_a_run_spreads_its_stages_over_the_hosts(site: Site, target: Target) -> None:
    (site.folder / "nbpipe.toml").write_text(
        f'[targets.pool]\nkind = "ssh"\nhosts = ["a", "b"]\npython = "{sys.executable}"\nconfig = "{target.config}"\n'
        f'folder = "{target.folder}"\n'
    )
    site.write(
        *(
            f"%%stage {name} --on pool --gpus 2\nimport os, time\ntime.sleep(1)\n{name} = os.environ['HOST']"
            for name in ("one", "two")
        ),
        "%%stage both\nprint(sorted([one, two]))",
    )
    done = site.run()
    assert done.code == 0, done.err
    assert site.printed(done.json["run"]) == "['a', 'b']\n"
    assert '"hosts"' in (site.project.runs / done.json["run"] / "environment.json").read_text()
    tested = site.command("target", "test", "pool")
    assert tested.code == 0, tested.err


def test_a_failed_stage_goes_on_on_the_host_that_has_kept_its_kernel(site: Site, target: Target) -> None:
    (site.folder / "nbpipe.toml").write_text(
        f'[targets.pool]\nkind = "ssh"\nhosts = ["a", "b"]\npython = "{sys.executable}"\nconfig = "{target.config}"\n'
        f'folder = "{target.folder}"\nkeep_failed = "5m"\n'
    )
    first = "%%stage train --on pool --gpus 2 --metrics n\nimport os\nheld = os.environ['HOST']\nn = 1.0"
    site.write(first, "%%stage train\n1 / 0", "%%stage where\nprint(held, n)")
    assert site.run().code == 1
    # Its GPUs are held with it: anything else would go to the other host.
    site.write(first, "%%stage train\nn += 1", "%%stage where\nprint(held, n)")
    done = site.run("--continue")
    assert done.code == 0, done.err
    assert site.printed(done.json["run"]).split()[1] == "2.0"
    assert {stage["name"]: stage["continued"] for stage in done.json["stages"]}["train"] == ["train"]
    assert "ended" not in site.command("target", "release", "pool").out
