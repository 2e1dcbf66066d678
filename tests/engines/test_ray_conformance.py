"""The ray target does what every executor does, on a cluster of two nodes that is there already."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from conformance import *  # noqa: F403 - the suite
from executing import WITH_CHILD, Ground, Job, gone, left_by
from places import *  # noqa: F403 - its fixtures
from places import Place, place_with
from raylets import Ray, running_ray
from through import *  # noqa: F403 - what a shared store is tried with
from through import Through, through_folder

from nbpipe.errors import TargetError
from nbpipe.executors.base import JobState
from nbpipe.executors.ssh.executor import SshExecutor
from nbpipe.executors.ssh.there.ray import Scheduler

pytestmark = [pytest.mark.engines, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def ray() -> Iterator[Ray]:
    with running_ray() as running:
        yield running


@pytest.fixture(scope="module")
def place(ray: Ray) -> Iterator[Place]:
    # Ray chooses the node, and on two of them GPUs have the same numbers.
    with place_with(ray.target(sys.executable, resources={"head": 1.0}), {}) as made:
        yield made


@pytest.fixture
def anywhere(ground: Ground, ray: Ray, place: Place) -> Iterator[SshExecutor]:
    """Runs jobs on either node."""
    made = SshExecutor(ray.target(sys.executable), here=place.digest)
    yield made
    made.close()


@pytest.fixture
def through(tmp_path: Path, ray: Ray, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Through]:
    del place  # jobs find nbpipe by its environment
    with through_folder(tmp_path, partial(ray.target, sys.executable), monkeypatch) as made:
        yield made


def test_a_cluster_says_what_its_nodes_have_and_what_they_have_together(
    shared: SshExecutor, anywhere: SshExecutor
) -> None:
    facts = anywhere.facts()
    assert facts["nodes"] == 2
    assert len(facts["devices"]) == 2
    assert (anywhere.capacity.cpus, anywhere.capacity.gpus) == (8, 4)
    assert (shared.capacity.cpus, shared.capacity.gpus) == (4, 2)


def test_jobs_go_to_a_node_that_has_what_the_target_names(ground: Ground, ray: Ray, place: Place) -> None:
    executor = SshExecutor(ray.target(sys.executable, resources={"second": 600.0}), here=place.digest)
    holds = ground.submit_to(executor, "import time\nprint('began', flush=True)\ntime.sleep(90)")
    holds.await_log("began")  # not Ray's own words
    # What is left there is not enough for another, whatever the first node has.
    waits = ground.submit_to(executor, "print('ran')")
    waits.await_log("Ray says")
    for job in (waits, holds):
        executor.cancel(job.handle, force=True)
        job.wait(20)
    executor.close()
    wrong = SshExecutor(ray.target(sys.executable, resources={"nowhere": 1.0}), here=place.digest)
    with pytest.raises(TargetError, match="no node of the cluster has nowhere"):
        wrong.facts()
    wrong.close()


def test_a_kernel_is_kept_by_its_job_and_goes_on_in_it_or_ends(ground: Ground, ray: Ray, place: Place) -> None:
    target = ray.target(sys.executable, resources={"head": 1.0}, keep_failed=600.0)
    executor = SshExecutor(target, here=place.digest)
    left = left_by(ground, executor, gpus=1.0)
    assert left.kept.gpus
    assert executor.facts()["kept"] == 1
    executor.close()
    second = SshExecutor(target, here=place.digest)
    done = left.go_on(ground, second, "print('pid', os.getpid())\nb = [*a, 3]", gpus=1.0, outputs=("b",))
    assert done.wait() == JobState("exited", 0), done.log
    assert f"pid {left.pid}" in done.log
    assert ground.bench.load(done.outcome.outputs) == {"b": [1, 2, 3]}
    assert done.outcome.continued == ("train",)
    assert gone(left.pid, 10)
    assert not (ray.root / "shared" / "work" / left.kept.job).exists()
    left = left_by(ground, second)
    assert second.release() == [left.kept.job]
    assert gone(left.pid, 20)
    # One whose job was stopped behind our backs begins anew.
    left = left_by(ground, second)
    Scheduler({"address": ray.address}).kill(f"nbpipe-{left.kept.job}")
    assert gone(left.pid, 20)
    anew = left.go_on(ground, second, "b = [*a, 3]", outputs=("b",))
    assert anew.wait() == JobState("exited", 0), anew.log
    assert "begins at its first cell: " in anew.log
    assert ground.bench.load(anew.outcome.outputs) == {"b": [1, 3]}
    assert anew.outcome.continued == ()
    assert second.facts()["kept"] == 0
    second.close()


def test_a_part_of_a_gpu_is_shared(ground: Ground) -> None:
    hold = "import os, time\nprint('dev=' + os.environ['CUDA_VISIBLE_DEVICES'] + ';', flush=True)\ntime.sleep(60)"
    jobs = [ground.submit(hold, gpus=0.4) for _ in range(2)]
    for job in jobs:
        job.await_log("dev=")
    given = [job.log.partition("dev=")[2].partition(";")[0] for job in jobs]
    assert given == ["0", "0"]
    for job in jobs:
        job.executor.cancel(job.handle, force=True)
        job.wait(20)


def test_a_job_whose_node_is_lost_says_so_and_leaves_no_process(
    ground: Ground, anywhere: SshExecutor, ray: Ray
) -> None:
    code = "import time\nprint('began', flush=True)\ntime.sleep(90)"
    hold = [ground.submit_to(anywhere, code, gpus=2.0) for _ in range(2)]
    for job in hold:
        job.await_log("began")  # not Ray's own words
    waits = ground.submit_to(anywhere, WITH_CHILD, gpus=1.0)
    waits.await_log("Ray says")
    assert waits.executor.poll(waits.handle) == JobState("running", begun=False)
    waits.executor.cancel(waits.handle)
    assert waits.wait(20).returncode == 130
    ray.lose("second")
    try:
        until = time.monotonic() + 90
        while not (ended := [job for job in hold if job.executor.poll(job.handle).state != "running"]):
            assert time.monotonic() < until
            time.sleep(0.1)
        assert len(ended) == 1
        assert ended[0].outcome.status == "lost"
        assert ended[0].outcome.failure is not None
        assert "node" in ended[0].outcome.failure.message
    finally:
        for job in hold:
            job.executor.cancel(job.handle, force=True)
        ray.join()


_TOGETHER = """import os
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
mine = torch.tensor([10.0 ** int(os.environ["RANK"])])
dist.all_reduce(mine)
total = float(mine)
where = " ".join(os.environ[name] for name in ("RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
node = os.getpid()
while "/raylet/raylet" not in open(f"/proc/{node}/cmdline").read():
    node = int(open(f"/proc/{node}/stat").read().rsplit(")", 1)[1].split()[1])
print("dev=" + os.environ.get("CUDA_VISIBLE_DEVICES", ""), where, "node=%d" % node, flush=True)
dist.barrier()
dist.destroy_process_group()
"""


@pytest.fixture
def together(ray: Ray, place: Place) -> Iterator[SshExecutor]:
    """Runs jobs on both nodes, whose processes meet on the loopback: they are one machine."""
    made = SshExecutor(ray.target(sys.executable, env={"GLOO_SOCKET_IFNAME": "lo"}), here=place.digest)
    yield made
    made.close()


#: Says which process runs it, and a child of that.
_SAYS = (
    "import os, subprocess, time\nchild = subprocess.Popen(['sleep', '88'])\n"
    "print(f'pids={os.getpid()},{child.pid};', flush=True)\n"
)


def _said(text: str) -> list[int]:
    return [int(word) for word in text.partition("pids=")[2].partition(";")[0].split(",")]


def _on_both(ray: Ray, job: Job) -> list[int]:
    """The processes of a job that has one rank on each of two nodes, once all run."""
    job.await_log("pids=")
    log = ray.root / "shared" / "work" / f"{job.spec.token}-0" / "0" / "job" / "rank-1.log"
    until = time.monotonic() + 60
    while not log.exists() or ";" not in log.read_text():
        assert time.monotonic() < until, job.log
        time.sleep(0.05)
    return [*_said(job.log), *_said(log.read_text())]


def test_processes_on_two_nodes_compute_together(ground: Ground, together: SshExecutor) -> None:
    job = ground.submit_to(together, _TOGETHER, nodes=2, nproc=2, gpus=1.0, outputs=("total",))
    assert job.wait(120) == JobState("exited", 0), job.log
    assert ground.bench.load(job.outcome.outputs) == {"total": 1111.0}
    printed = [ground.bench.printed(), *((job.folder / f"rank-{rank}.log").read_text() for rank in (1, 2, 3))]
    for rank, text in enumerate(printed):
        assert f"dev=0 {rank} {rank % 2} {rank // 2} 4 2 node=" in text
    nodes = [text.partition("node=")[2].split()[0] for text in printed]
    assert nodes[0] == nodes[1] != nodes[2] == nodes[3]


def test_a_rank_that_fails_on_the_second_node_ends_all(ground: Ground, together: SshExecutor) -> None:
    code = _SAYS + "if os.environ['GROUP_RANK'] == '1':\n    1 / 0\ntime.sleep(90)"
    job = ground.submit_to(together, code, nodes=2, nproc=2)
    assert job.wait(60).returncode == 1
    assert job.outcome.failure is not None
    assert "rank 2: ZeroDivisionError" in job.outcome.failure.message
    logs = [ground.bench.printed(), *((job.folder / f"rank-{rank}.log").read_text() for rank in (1, 2, 3))]
    found = [pid for text in logs for pid in _said(text)]
    assert len(found) == 8
    assert [pid for pid in found if not gone(pid, 20)] == []


@pytest.mark.parametrize("force", [False, True])
def test_a_job_on_two_nodes_is_cancelled_on_both(
    ground: Ground, ray: Ray, together: SshExecutor, *, force: bool
) -> None:
    job = ground.submit_to(together, _SAYS + "time.sleep(90)", nodes=2, nproc=1)
    found = _on_both(ray, job)
    together.cancel(job.handle, force=force)
    job.wait(20)
    assert [pid for pid in found if not gone(pid, 20)] == []


def test_a_job_on_two_nodes_waits_for_both_and_a_cluster_that_has_too_few_is_refused(
    ground: Ground, together: SshExecutor, anywhere: SshExecutor
) -> None:
    hold = ground.submit_to(anywhere, "import time\nprint('began', flush=True)\ntime.sleep(60)", gpus=2.0)
    hold.await_log("began")
    waits = ground.submit_to(together, "x = 1", nodes=2, nproc=1, gpus=1.0)
    waits.await_log("waits in Ray for 2 nodes that are free")
    assert waits.executor.poll(waits.handle) == JobState("running", begun=False)
    hold.executor.cancel(hold.handle, force=True)
    hold.wait(20)
    assert waits.wait(60) == JobState("exited", 0), waits.log
    for fields in ({"nodes": 3}, {"nodes": 2, "gpus": 3.0}):
        job = ground.submit_to(together, "x = 1", nproc=1, **fields)
        job.wait(20)
        assert job.outcome.failure is not None
        assert f"it asks for {fields['nodes']} nodes, and " in job.outcome.failure.message


def test_a_job_on_two_nodes_of_which_one_is_lost_is_lost_and_leaves_no_process(
    ground: Ground, ray: Ray, together: SshExecutor
) -> None:
    job = ground.submit_to(together, _SAYS + "time.sleep(200)", nodes=2, nproc=1)
    found = _on_both(ray, job)
    ray.lose("second")
    try:
        job.wait(90)
        assert job.outcome.status == "lost"
        assert job.outcome.failure is not None
        # Ray may end what runs there before it knows why.
        assert "of 2 was" in job.outcome.failure.message
        assert [pid for pid in found if not gone(pid, 20)] == []
    finally:
        ray.join()


def test_a_cluster_that_does_not_answer_is_said_before_a_run(ray: Ray) -> None:
    executor = SshExecutor(ray.target(sys.executable, address="http://127.0.0.1:1"), here=lambda _: "")
    with pytest.raises(TargetError, match="does not answer"):
        executor.facts()
    executor.close()
