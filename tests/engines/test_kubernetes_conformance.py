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
from executing import WITH_CHILD, Ground, Left, gone, left_by, pids
from kubes import IMAGES, NAMESPACE, Kubernetes, running_kubernetes
from places import *  # noqa: F403 - its fixtures
from places import Place, place_with
from runs import Site

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


def _evict(kubernetes: Kubernetes, name: str) -> None:
    """The pod of a job is taken away from it, as where its node is drained."""
    (first,) = kubernetes.pods(name)
    pod = {"name": first["metadata"]["name"], "namespace": NAMESPACE}
    body = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": pod}
    kubernetes.api.call("POST", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['name']}/eviction", body)


def test_a_pod_that_is_preempted_starts_again_and_what_fails_then_is_the_users(
    ground: Ground, kubernetes: Kubernetes
) -> None:
    go = ground.bench.root / "go"
    job = ground.submit(
        f"import os, time\nprint('begins', flush=True)\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.05)\n1 / 0"
    )
    job.await_log("begins")
    _evict(kubernetes, f"nbpipe-{job.spec.token}-0")
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


@pytest.fixture
def keeps(kubernetes: Kubernetes, place: Place) -> Iterator[SshExecutor]:
    """A target that keeps the kernels of failed stages."""
    target = kubernetes.target(sys.executable, node_selector={"pool": "n1"}, keep_failed=600.0)
    made = SshExecutor(target, here=place.digest)
    yield made
    made.release()
    made.close()


def _named(left: Left) -> str:
    """What Kubernetes calls the job that left a kernel."""
    return f"nbpipe-{left.kept.job}"


def _phases(kubernetes: Kubernetes, left: Left) -> list[str]:
    return [pod["status"]["phase"] for pod in kubernetes.pods(_named(left))]


def test_a_kernel_is_kept_in_its_pod_and_goes_on_in_it(
    ground: Ground, kubernetes: Kubernetes, keeps: SshExecutor
) -> None:
    left = left_by(ground, keeps, gpus=1.0)
    assert len(left.kept.gpus) == 1
    assert left.kept.memory > 10 << 20
    # The verdict is home, and the pod still has what it asked for.
    (pod,) = kubernetes.pods(_named(left))
    assert pod["status"]["phase"] == "Running"
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert keeps.facts()["kept"] == 1
    second = SshExecutor(keeps.target, here=lambda _: "")
    again, done = left.goes_on_twice(ground, second, gpus=1.0)
    kubernetes.wait(lambda: _phases(kubernetes, left) == ["Succeeded"])
    assert kubernetes.jobs(again.spec.token) + kubernetes.jobs(done.spec.token) == []
    assert not (kubernetes.root / "shared" / "work" / left.kept.job).exists()
    second.close()


def test_a_run_goes_on_in_its_pod_where_it_is_asked_to(site: Site, kubernetes: Kubernetes, place: Place) -> None:
    (site.folder / "nbpipe.toml").write_text(
        f'[targets.cluster]\nkind = "kubernetes"\nimage = "{IMAGES}digits:1"\nclaim = "data"\n'
        f'python = "{sys.executable}"\nfolder = "{kubernetes.root}/shared"\nkeep_failed = "10m"\n'
    )
    first = "%%stage train --on cluster\nimport os\na, pid = [1], os.getpid()"
    second = "%%stage train --metrics n\na.append(2)\nn = len(a) * (os.getpid() == pid)"
    site.write(first, f"{second} / 0")
    failed = site.run()
    assert failed.code == 1, failed.err
    assert "cluster keeps the kernel (until " in failed.err
    assert "1 kernel of a failed stage is kept" in site.command("target", "doctor", "cluster").out
    site.write(first, second)
    done = site.run("--continue")
    assert done.code == 0, done.err
    # What it appended before it failed is there still.
    assert done.json["metrics"] == {"n": 3}
    assert [stage["continued"] for stage in done.json["stages"]] == [["train"]]
    site.write(first, f"{second} / 0")
    assert site.run().code == 1
    assert "cluster: ended 1 kernel" in site.command("target", "release", "cluster").out
    assert "cluster: no kernel is kept" in site.command("target", "release", "cluster").out


@pytest.mark.parametrize(
    ("ends", "why"),
    [
        ("release", "the kernel was not kept so long"),
        ("delete", "was deleted"),
        # Whatever is seen of that by then.
        ("evict", "begins at its first cell: "),
        ("evict, and look later", "was lost or taken away"),
        ("deadline", "ran longer than the --timeout allows"),
    ],
)
def test_a_kept_kernel_ends_and_the_stage_begins_anew_and_says_why(
    ground: Ground, kubernetes: Kubernetes, keeps: SshExecutor, ends: str, why: str
) -> None:
    left = left_by(ground, keeps, timeout=60.0)
    name, space = _named(left), f"namespaces/{NAMESPACE}"
    (pod,) = kubernetes.pods(name)
    # Twice the stage's own time, that of the kernel, and a quarter of an hour of ours.
    assert pod["spec"]["activeDeadlineSeconds"] == 60 + 600 + 60 + 900
    if ends == "release":
        assert keeps.release(left.kept.job) == [left.kept.job]
        assert keeps.release() == []
        kubernetes.wait(lambda: not kubernetes.jobs(left.kept.job))
    elif ends == "delete":
        kubernetes.api.call("DELETE", f"/apis/batch/v1/{space}/jobs/{name}?propagationPolicy=Background")
    elif ends == "deadline":
        limit = {"spec": {"activeDeadlineSeconds": 1}}
        kubernetes.api.merge(f"/api/v1/{space}/pods/{pod['metadata']['name']}", limit)
    else:
        _evict(kubernetes, name)
    assert gone(left.pid, 20)
    other = SshExecutor(keeps.target, here=lambda _: "")
    if ends in ("evict, and look later", "deadline"):
        # The one that is started in its place finds nothing to do.
        kubernetes.wait(lambda: "Succeeded" in _phases(kubernetes, left))
        assert other.facts()["kept"] == 0
    left.begins_anew(ground, other, why)
    kubernetes.wait(lambda: not kubernetes.jobs(left.kept.job))
    other.close()


def test_a_pod_that_is_lost_while_its_stage_goes_on_begins_anew_as_it_was_mended(
    ground: Ground, kubernetes: Kubernetes, keeps: SshExecutor
) -> None:
    left = left_by(ground, keeps)
    go = ground.bench.root / "go"
    wait = (
        "import time\nprint('begins in', os.getpid(), flush=True)\n"
        f"while not os.path.exists({str(go)!r}):\n    time.sleep(0.05)\nb = [*a, 3]"
    )
    goes = left.go_on(ground, keeps, wait, outputs=("b",))
    goes.await_log(f"begins in {left.pid}")
    _evict(kubernetes, _named(left))
    assert gone(left.pid, 20)
    goes.await_log("started the job again")
    go.touch()
    assert goes.wait() == JobState("exited", 0), goes.log
    assert ground.bench.load(goes.outcome.outputs) == {"b": [1, 3]}
    assert goes.outcome.continued == ()


@pytest.mark.parametrize("frozen", [False, True])
def test_an_api_server_that_is_gone_for_a_while_makes_no_failure_and_no_success(
    ground: Ground, kubernetes: Kubernetes, keeps: SshExecutor, *, frozen: bool
) -> None:
    left, refused = left_by(ground, keeps), list[str]()
    root = ground.bench.root
    code = (
        "import os, time\nprint('begins', flush=True)\nwhile not os.path.exists('GO'):\n    time.sleep(0.05)\n"
        "    if os.path.exists('GO-says'):\n        print('says so', flush=True)\nx = 1"
    )
    jobs = {
        name: ground.submit(code.replace("GO", str(root / name)) + more, outputs=("x",))
        for name, more in (("ends", ""), ("fails", " / 0"), ("goes-on", ""))
    }
    for job in jobs.values():
        job.await_log("begins")
    with kubernetes.without("api", frozen=frozen):
        (root / "ends").touch()
        (root / "fails").touch()
        # How a job ends lies in its folder.
        assert jobs["ends"].wait() == JobState("exited", 0)
        assert jobs["fails"].wait() == JobState("exited", 1)
        mended = left.go_on(ground, keeps, "b = [*a, 3]", outputs=("b",))
        mended.await_log("nobody says whether the kernel still runs")
        (root / "goes-on-says").touch()
        jobs["goes-on"].await_log("says so")
        if not frozen:
            new = ground.run("x = 1")
            assert new.outcome.status == "lost"
            assert new.outcome.failure is not None
            assert "kubectl says" in new.outcome.failure.message
            # What could not be handed in does not come later, either.
            refused.append(new.spec.token)
        assert jobs["goes-on"].executor.poll(jobs["goes-on"].handle) == JobState("running")
        assert not gone(left.pid, 0.1)
    assert mended.wait() == JobState("exited", 0), mended.log
    assert mended.outcome.continued == ("train",)
    assert ground.bench.load(mended.outcome.outputs) == {"b": [1, 2, 3]}
    assert jobs["goes-on"].executor.poll(jobs["goes-on"].handle) == JobState("running")
    (root / "goes-on").touch()
    assert jobs["goes-on"].wait() == JobState("exited", 0)
    # Who drives it has not lost sight of the machine where `kubectl` is called.
    assert "does not answer (" not in jobs["goes-on"].log
    assert [kubernetes.jobs(token) for token in refused] == [[]] * len(refused)
    kubernetes.wait(lambda: kubernetes.ready() == 2)


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
