"""The kubernetes target does what every executor does, with the API server, controllers and scheduler of Kubernetes.

Its nodes are ours: containers are processes of this machine, see `kubelet`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conformance import *  # noqa: F403 - the suite
from engines import environment_of
from executing import WITH_CHILD, Ground, gone, pids
from kubes import IMAGES, NAMESPACE, Kubernetes, running_kubernetes
from places import *  # noqa: F403 - its fixtures
from places import Place, place_with

from nbpipe.errors import TargetError
from nbpipe.executors.base import JobState
from nbpipe.executors.ssh.executor import SshExecutor
from nbpipe.executors.ssh.there.kubernetes import manifest
from nbpipe.store import open_store

pytestmark = [pytest.mark.engines, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    with running_kubernetes(tmp_path_factory.mktemp("kubernetes") / "k") as running:
        yield running


@pytest.fixture(scope="module")
def place(kubernetes: Kubernetes) -> Iterator[Place]:
    # The scheduler spreads jobs, and on two nodes GPUs have the same numbers.
    target = kubernetes.target(sys.executable, node_selector={"pool": "n1"})
    with place_with(target, kubernetes.environment) as made:
        yield made


@pytest.fixture
def anywhere(ground: Ground, kubernetes: Kubernetes, place: Place) -> Iterator[SshExecutor]:
    """Runs jobs on either node."""
    made = SshExecutor(kubernetes.target(sys.executable), here=place.digest)
    yield made
    made.close()


def test_a_cluster_says_what_its_nodes_have_and_a_pod_what_it_finds(
    shared: SshExecutor, anywhere: SshExecutor, kubernetes: Kubernetes
) -> None:
    facts = anywhere.facts(["msgspec"])
    assert (facts["nodes"], facts["cpus"], facts["memory"], len(facts["devices"])) == (2, 4, 8 << 30, 2)
    assert (anywhere.capacity.cpus, anywhere.capacity.gpus) == (8, 4)
    assert (shared.capacity.cpus, shared.capacity.gpus) == (4, 2)
    assert facts["executable"] == sys.executable
    assert facts["packages"]["msgspec"]
    kubernetes.wait(lambda: not kubernetes.jobs("probe"))


def test_what_is_asked_for_is_asked_of_kubernetes(ground: Ground, kubernetes: Kubernetes, place: Place) -> None:
    api, space = kubernetes.api, f"/api/v1/namespaces/{NAMESPACE}"
    given = {"metadata": {"name": "vault"}, "stringData": {"token": "hunter-2-is-no-password"}}
    api.call("POST", f"{space}/secrets", given)
    taints = [{"key": "spot", "value": "true", "effect": "NoSchedule"}]
    api.merge("/api/v1/nodes/n2", {"spec": {"taints": taints}})
    try:
        target = kubernetes.target(
            sys.executable,
            node_selector={"pool": "n2"},
            tolerations=("spot=true:NoSchedule",),
            secrets={"THE_TOKEN": "vault/token"},
            env={"GREETING": "a 'b' $(c)"},
        )
        executor = SshExecutor(target, here=place.digest)
        job = ground.submit_to(
            executor,
            "import os\nprint(os.environ['GREETING'], len(os.environ['THE_TOKEN']), os.environ['NVIDIA_VISIBLE_DEVICES'])\n"
            "import time\ntime.sleep(60)",
            cpus=0.5,
            memory=1 << 30,
            image=f"{IMAGES}other:2",
        )
        job.await_log("a 'b' $(c) 23 void")
        (pod,) = kubernetes.pods(f"nbpipe-{job.spec.token}-0")
        container = pod["spec"]["containers"][0]
        assert pod["spec"]["nodeName"] == "n2"
        assert container["image"] == f"{IMAGES}other:2"
        assert container["resources"]["requests"] == {"cpu": "500m", "memory": str(1 << 30)}
        assert container["resources"]["limits"] == {"memory": str(1 << 30)}
        assert "hunter" not in str(pod)
        executor.close()
        kubernetes.wait(lambda: not kubernetes.jobs(job.spec.token))
    finally:
        api.merge("/api/v1/nodes/n2", {"spec": {"taints": None}})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"image": "elsewhere/x:1"}, "ImagePullBackOff.*elsewhere/x:1"),
        ({"secrets": {"A": "nothing/a"}}, 'CreateContainerConfigError.*secret "nothing"'),
        ({"python": "/nowhere/python"}, "container ended with code 127.*/nowhere/python"),
        ({"claim": "nothing"}, 'persistentvolumeclaim "nothing" not found'),
        ({"node_selector": {"pool": "n9"}}, "no node of the cluster"),
        ({"namespace": "kube-system"}, "cannot create resource"),
        ({"context": "nowhere"}, "context.*nowhere"),
    ],
)
def test_what_could_not_run_is_said_before_a_run(
    kubernetes: Kubernetes, place: Place, wrong: dict[str, Any], said: str
) -> None:
    executor = SshExecutor(kubernetes.target(**{"python": sys.executable, **wrong}), here=place.digest)
    with pytest.raises(TargetError, match=said):
        executor.facts()
    executor.close()
    kubernetes.wait(lambda: not kubernetes.jobs("probe"))


def test_what_the_users_code_does_never_starts_it_again(ground: Ground, kubernetes: Kubernetes) -> None:
    job = ground.run("import os\nos._exit(137)")
    assert job.outcome.status == "failed"
    name = f"nbpipe-{job.spec.token}-0"
    kubernetes.wait(lambda: kubernetes.pods(name)[0]["status"]["phase"] == "Succeeded")
    assert len(kubernetes.pods(name)) == 1


def test_a_pod_that_is_preempted_starts_again_and_what_fails_then_is_the_users(
    ground: Ground, kubernetes: Kubernetes
) -> None:
    go = ground.bench.root / "go"
    job = ground.submit(
        f"import os, time\nprint('begins', flush=True)\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.05)\n1 / 0"
    )
    job.await_log("begins")
    name = f"nbpipe-{job.spec.token}-0"
    (first,) = kubernetes.pods(name)
    pod = {"name": first["metadata"]["name"], "namespace": NAMESPACE}
    body = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": pod}
    kubernetes.api.call("POST", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['name']}/eviction", body)
    job.await_log("started the job again")
    go.touch()
    assert job.wait() == JobState("exited", 1)
    assert job.outcome.failure is not None
    assert "division by zero" in job.outcome.failure.message


def test_a_job_whose_node_is_lost_starts_again_on_another_and_what_the_lost_one_gives_does_not_count(
    ground: Ground, kubernetes: Kubernetes, anywhere: SshExecutor
) -> None:
    go = ground.bench.root
    job = ground.submit_to(
        anywhere,
        f"import os, time\nprint('begins', os.getpid(), flush=True)\nwhile not os.path.exists(f'{go}/{{os.getppid()}}'):\n"
        "    time.sleep(0.05)\nopen('model.txt', 'w').write(str(os.getppid()))\nx = os.getppid()",
        outputs=("x",),
    )
    job.await_log("begins")
    work = next((kubernetes.root / "shared" / "work").glob(f"{job.spec.token}-0"))
    lost, late = kubernetes.pods(f"nbpipe-{job.spec.token}-0")[0]["spec"]["nodeName"], work / "0"
    kubernetes.lose(lost)
    try:
        job.await_log("started the job again", 90)
        job.await_log("begins")
        first, second = (json.loads((work / n / "runner.json").read_text())["pid"] for n in ("0", "1"))
        (go / str(first)).touch()
        kubernetes.wait((late / "rc.json").exists)
        assert job.executor.poll(job.handle) == JobState("running")
        (go / str(second)).touch()
        assert job.wait() == JobState("exited", 0)
    finally:
        kubernetes.node(lost)
        kubernetes.wait(lambda: kubernetes.ready() == 2)
    assert ground.bench.load(job.outcome.outputs) == {"x": second}
    written = open_store(job.spec.store).objects.get_bytes(job.outcome.files_written[0].object)
    assert written == str(second).encode()


def test_a_job_waits_for_a_gpu_says_so_and_is_deleted_when_it_is_cancelled(
    ground: Ground, kubernetes: Kubernetes
) -> None:
    hold = ground.submit("import time\nprint('up', flush=True)\ntime.sleep(60)", gpus=2.0)
    hold.await_log("up")
    waits = ground.submit("print('ran')", gpus=1.0, timeout=1.0)
    waits.await_log("Insufficient nvidia.com/gpu")
    assert waits.executor.poll(waits.handle) == JobState("running", begun=False)
    waits.executor.cancel(waits.handle)
    assert waits.wait(10).returncode == 130
    hold.executor.cancel(hold.handle, force=True)
    hold.wait(10)
    kubernetes.wait(lambda: not kubernetes.jobs(waits.spec.token) and not kubernetes.jobs(hold.spec.token))


def test_a_job_that_is_deleted_is_lost_and_says_so(ground: Ground, kubernetes: Kubernetes) -> None:
    job = ground.submit(WITH_CHILD)
    found = pids(job)
    path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/nbpipe-{job.spec.token}-0?propagationPolicy=Background"
    kubernetes.api.call("DELETE", path)
    assert job.wait(40).returncode == 4
    assert job.outcome.failure is not None
    assert "was deleted" in job.outcome.failure.message
    assert [pid for pid in found if not gone(pid)] == []


def test_a_job_fits_the_newest_schema_and_has_no_field_too_many(kubernetes: Kubernetes, tmp_path: Path) -> None:
    bin_ = environment_of("kubernetes-validate", "kubernetes-validate==1.37.0")
    target = kubernetes.target(
        sys.executable,
        node_selector={"pool": "n2"},
        tolerations=("spot=true:NoSchedule", "nvidia.com/gpu"),
        secrets={"THE_TOKEN": "vault/token"},
        service_account="runner",
        pull_secret="registry",  # noqa: S106 - its name
    )
    asked = {"cpus": 0.5, "memory": 1 << 30, "gpus": 0.5, "timeout": 60.0}
    made = manifest(msgspec.to_builtins(target), "nbpipe-x", "/shared", ["true"], asked)
    for name, spec, right in (("right", {}, True), ("wrong", {"backoffLimits": 1}, False)):
        file = tmp_path / f"{name}.yaml"
        file.write_text(json.dumps({**made, "spec": {**made["spec"], **spec}}))
        done = subprocess.run(
            [bin_ / "kubernetes-validate", "--strict", file], capture_output=True, text=True, check=False
        )
        assert (done.returncode == 0) is right, done.stdout + done.stderr
