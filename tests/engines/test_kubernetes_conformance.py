"""The kubernetes target does what every executor does, with the API server, controllers and scheduler of Kubernetes.

Its nodes are ours: containers are processes of this machine, see `kubelet`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from conformance import *  # noqa: F403 - the suite
from kubes import Kubernetes, running_kubernetes
from places import *  # noqa: F403 - its fixtures
from places import Place, place_with

from nbpipe.executors.ssh.executor import SshExecutor

pytestmark = [pytest.mark.engines, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    with running_kubernetes(tmp_path_factory.mktemp("kubernetes") / "k") as running:
        yield running


@pytest.fixture(scope="module")
def place(kubernetes: Kubernetes) -> Iterator[Place]:
    with place_with(kubernetes.target(sys.executable), kubernetes.environment) as made:
        yield made


def test_a_cluster_says_what_its_nodes_have_and_a_pod_what_it_finds(shared: SshExecutor) -> None:
    facts = shared.facts(["msgspec"])
    assert (facts["nodes"], facts["cpus"], facts["memory"], len(facts["devices"])) == (2, 4, 8 << 30, 2)
    assert (shared.capacity.cpus, shared.capacity.gpus) == (8, 4)
    assert facts["executable"] == sys.executable
    assert facts["packages"]["msgspec"]
