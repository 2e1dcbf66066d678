"""The ray target does what every executor does, on a cluster of two nodes that is there already."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest
from conformance import *  # noqa: F403 - the suite
from executing import WITH_CHILD, Ground
from places import *  # noqa: F403 - its fixtures
from places import Place, place_with
from raylets import Ray, running_ray

from nbpipe.errors import TargetError
from nbpipe.executors.base import JobState
from nbpipe.executors.ssh.executor import SshExecutor

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


def test_a_cluster_that_does_not_answer_is_said_before_a_run(ray: Ray) -> None:
    executor = SshExecutor(ray.target(sys.executable, address="http://127.0.0.1:1"), here=lambda _: "")
    with pytest.raises(TargetError, match="does not answer"):
        executor.facts()
    executor.close()
