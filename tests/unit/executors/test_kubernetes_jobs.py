"""What is handed to Kubernetes, and how its answers are understood."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nbpipe.executors.ssh.link import _QUIET
from nbpipe.executors.ssh.there.kubernetes import Scheduler, manifest, quantity, read_pod
from nbpipe.targets.settings import Target

TARGET = Target(name="c", kind="kubernetes", image="r/x:1", claim="data", folder="/shared", python="python")
SETTINGS = msgspec.to_builtins(TARGET)


def _pod(phase: str, state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    # Meshes put a container of their own beside that of the stage, and before it.
    beside = {"name": "proxy", "state": {"running": {}}}
    statuses = [beside, {"name": "stage", "state": state}] if state else [beside]
    return {"metadata": {"name": "p"}, "spec": {}, "status": {"phase": phase, "containerStatuses": statuses, **status}}


def _ended(code: int, reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason}}


@pytest.mark.parametrize(
    ("pod", "state", "said"),
    [
        (_pod("Pending"), "waiting", ""),
        (_pod("Pending", {"waiting": {"reason": "ContainerCreating"}}), "waiting", "ContainerCreating"),
        (_pod("Pending", {"waiting": {"reason": "ErrImagePull", "message": "m"}}), "waiting", "m"),
        (_pod("Pending", {"waiting": {"reason": "ImagePullBackOff", "message": "m"}}), "ended", "ImagePullBackOff: m"),
        (
            _pod("Pending", conditions=[{"type": "PodScheduled", "status": "False", "message": "0/2 nodes"}]),
            "waiting",
            "0/2 nodes",
        ),
        (_pod("Running", {"running": {}}), "running", "starts on"),
        (_pod("Failed", _ended(137)), "waiting", "lost: Error"),
        (_pod("Failed", _ended(137, "OOMKilled")), "ended", "--memory"),
        (_pod("Failed", _ended(2)), "ended", "code 2"),
        (_pod("Running", _ended(2)), "ended", "code 2"),
        (_pod("Running", _ended(137)), "ended", "lost: Error"),
        (_pod("Failed", _ended(137), reason="DeadlineExceeded"), "ended", "--timeout"),
        (_pod("Failed", reason="Evicted", message="low on disk"), "waiting", "low on disk"),
        (
            _pod("Failed", _ended(2), conditions=[{"type": "DisruptionTarget", "status": "True", "message": "spot"}]),
            "waiting",
            "lost: spot",
        ),
        ({**_pod("Running"), "metadata": {"name": "p", "deletionTimestamp": "now"}}, "waiting", "was deleted"),
    ],
)
def test_a_pod_that_was_lost_is_told_from_one_that_would_always_end_like_this(
    pod: dict[str, Any], state: str, said: str
) -> None:
    found = read_pod(pod)
    assert found[0] == state
    assert said in found[1]


def test_a_job_asks_for_what_its_stage_asks_for() -> None:
    asked = {"cpus": 0.5, "memory": 1 << 30, "gpus": 0.5, "timeout": 60.0, "image": "r/y:2"}
    made = manifest({**SETTINGS, "tolerations": ["a=b:NoSchedule", "c"]}, "nbpipe-x", "/shared", ["true"], asked)
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "r/y:2"
    assert container["resources"]["limits"] == {"memory": str(1 << 30), "nvidia.com/gpu": "1"}
    assert container["resources"]["requests"] == {"memory": str(1 << 30), "cpu": "500m"}
    assert "NVIDIA_VISIBLE_DEVICES" not in {variable["name"] for variable in container["env"]}
    assert pod["tolerations"][:2] == [
        {"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"},
        {"key": "c", "operator": "Exists"},
    ]
    # The time that it waits for a node is not the stage's.
    assert 60 < pod["activeDeadlineSeconds"] < 1000
    assert "activeDeadlineSeconds" not in made["spec"]
    # That of a kernel which is kept, and of the stage once more; where that has no time, the kernel ends by itself.
    longer = manifest(SETTINGS, "nbpipe-x", "/shared", ["true"], {**asked, "keep": 600.0})["spec"]["template"]["spec"]
    assert longer["activeDeadlineSeconds"] - pod["activeDeadlineSeconds"] == 660
    assert {"name": "NBPIPE_LASTS", "value": "720.0"} in longer["containers"][0]["env"]
    without = manifest(SETTINGS, "nbpipe-x", "/shared", ["true"], {"keep": 600.0})["spec"]["template"]["spec"]
    assert "activeDeadlineSeconds" not in without


def test_a_pod_of_a_node_that_does_not_answer_is_replaced_before_it_has_ended_and_how_often_is_bounded() -> None:
    spec = manifest(SETTINGS, "nbpipe-x", "/shared", ["true"], {})["spec"]
    # The API allows no replacement of a pod that is being deleted where there is a podFailurePolicy.
    assert "podFailurePolicy" not in spec
    assert spec["backoffLimit"] == TARGET.restarts > 0


def test_secrets_are_references_and_a_job_without_gpus_sees_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    made = manifest({**SETTINGS, "secrets": {"A": "vault/key"}}, "nbpipe-x", "/shared", ["true"], {})
    pod = made["spec"]["template"]["spec"]
    given = {variable.pop("name"): variable for variable in pod["containers"][0]["env"]}
    assert given["A"] == {"valueFrom": {"secretKeyRef": {"name": "vault", "key": "key"}}}
    assert given["NVIDIA_VISIBLE_DEVICES"] == {"value": "void"}
    assert pod["securityContext"]["runAsUser"] == 1000
    assert "resources" in pod["containers"][0]


@pytest.mark.parametrize(("text", "number"), [("4", 4), ("3920m", 3.92), ("32Gi", 32 << 30), ("5k", 5000), ("?", 0)])
def test_quantities_are_read(text: str, number: float) -> None:
    assert quantity(text) == number


def test_a_node_counts_where_it_takes_such_pods() -> None:
    scheduler = Scheduler({**SETTINGS, "node_selector": {"pool": "l4"}, "tolerations": ["spot=true:NoSchedule"]})
    ready = {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"cpu": "4", "memory": "1Gi"}}
    node = {"metadata": {"labels": {"pool": "l4"}}, "spec": {}, "status": ready}
    assert scheduler._room(node) == (4, 1 << 30, 0)
    spot = {"key": "spot", "value": "true", "effect": "NoSchedule"}
    assert scheduler._room({**node, "spec": {"taints": [spot]}})
    assert not scheduler._room({**node, "spec": {"taints": [{**spot, "value": "false"}]}})
    assert not scheduler._room({**node, "spec": {"unschedulable": True}})
    assert not scheduler._room({**node, "metadata": {}})
    assert not scheduler._room({**node, "status": {**ready, "conditions": []}})


def test_where_nodes_may_not_be_listed_the_target_has_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(self: Scheduler, words: list[str], text: str = "", **_: float) -> str:
        if words[:2] == ["get", "--raw"]:
            raise RuntimeError("kubectl says: Error from server (Forbidden): nodes is forbidden")
        return "digits"

    monkeypatch.setattr(Scheduler, "_call", call)
    with pytest.raises(RuntimeError, match="set cpus, memory"):
        Scheduler(SETTINGS).facts()
    found = Scheduler({**SETTINGS, "cpus": 8.0, "memory": 1 << 30, "gpus": 2.0}).facts()
    assert (found["cpus"], found["devices"], found["nodes"]) == (8, ["0", "1"], 1)


def test_nodes_that_come_when_a_pod_asks_for_them_are_as_the_target_says(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes: list[Any] = []
    monkeypatch.setattr(Scheduler, "_call", lambda *_, **__: json.dumps({"items": nodes}))
    with pytest.raises(RuntimeError, match=r"no node of the cluster.*set cpus, memory"):
        Scheduler(SETTINGS).facts()
    said = {**SETTINGS, "cpus": 8.0, "memory": 1 << 30, "gpus": 2.0}
    found = Scheduler(said).facts()
    assert (found["cpus"], found["memory"], found["devices"], found["nodes"]) == (8, 1 << 30, ["0", "1"], 1)
    small = {"cpu": "940m", "memory": "1Gi"}
    status = {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": small}
    nodes.append({"metadata": {}, "spec": {}, "status": status})
    found = Scheduler(said).facts()
    assert (found["cpus"], found["devices"]) == (0.94, ["0", "1"])
    small["nvidia.com/gpu"] = "1"
    assert Scheduler(said).facts()["devices"] == ["0"]


@dataclass
class Cluster:
    """Takes jobs, and answers, or fails to, as it is told. `down` is what is said instead."""

    jobs: dict[str, Any] = field(default_factory=dict)
    pods: list[Any] = field(default_factory=list)
    lost: bool = False
    down: str = ""
    waited: float = 0.0
    deleted: list[str] = field(default_factory=list)

    def call(self, words: list[str], text: str = "", patience: float = 0.0) -> str:
        self.waited = max(self.waited, patience)
        path = words[2].partition("?")[0]
        name = path.rpartition("/")[2]
        if self.down:
            raise RuntimeError(f"kubectl says: {self.down}")
        if words[0] == "create":
            order = json.loads(text)
            self.jobs[order["metadata"]["name"]] = order
            if self.lost:
                raise RuntimeError("the cluster does not answer within 60 s")
        elif words[0] == "delete":
            self.deleted.append(name)
        elif path.endswith("/pods"):
            return json.dumps({"items": self.pods})
        elif name not in self.jobs:
            raise RuntimeError(f'kubectl says: Error from server (NotFound): jobs.batch "{name}" not found')
        return '{"kind": "Job", "status": {}}'


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(Scheduler, "_call", lambda _, *given, **more: made.call(*given, **more))
    return made


def test_a_job_that_is_there_although_the_answer_was_lost_is_known(cluster: Cluster) -> None:
    cluster.lost = True
    handed = Scheduler({**SETTINGS, "namespace": "n"}).submit("nbpipe-x", "/shared/work/x", ["true"], {}, set())
    assert handed == "nbpipe-x"
    assert list(cluster.jobs) == ["nbpipe-x"]


def test_a_pod_that_looks_around_ends_also_when_nobody_is_left_to_delete_it(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Scheduler, "state", lambda *_: ("ended", "no image"))
    with pytest.raises(RuntimeError, match="no image"):
        Scheduler({**SETTINGS, "namespace": "n"}).probe(str(tmp_path), "", [], {})
    (order,) = cluster.jobs.values()
    assert 0 < order["spec"]["activeDeadlineSeconds"] <= 600


def test_a_job_that_is_home_is_deleted_where_something_else_goes_on_in_its_pod(cluster: Cluster) -> None:
    scheduler = Scheduler({**SETTINGS, "namespace": "n"})
    cluster.pods = [{"spec": {"containers": [{"name": "stage"}]}}]
    scheduler.forget("nbpipe-x")
    assert cluster.deleted == []
    cluster.pods[0]["spec"]["containers"].append({"name": "proxy"})
    scheduler.forget("nbpipe-x")
    assert "nbpipe-x" in cluster.deleted


def test_however_many_jobs_there_are_half_of_the_time_is_left_to_listen_and_each_has_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, asked = [1000.0], []

    def ask(_: Scheduler, name: str) -> tuple[str, str]:
        clock[0] += 1.0
        asked.append(name)
        return "running", ""

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(Scheduler, "_asked", ask)
    scheduler, names = Scheduler(SETTINGS), [f"j{number}" for number in range(20)]
    for _ in range(3000):
        before = len(asked)
        for name in names:
            scheduler.state(name)
        assert len(asked) - before <= 1
        clock[0] += 0.05
    counts = [asked.count(name) for name in names]
    assert min(counts) >= 2
    assert max(counts) - min(counts) <= 1


def _at(hour: int, pod: dict[str, Any]) -> dict[str, Any]:
    return {**pod, "metadata": {"name": "p", "creationTimestamp": f"2026-11-22T{hour}:00:00Z"}}


@pytest.mark.parametrize(
    "said",
    [
        "The connection to the server 127.0.0.1:6443 was refused",
        "Error from server (Forbidden): jobs.batch is forbidden",
        # Of a proxy, or of a server that is just starting: nothing is known of the job.
        "Error from server (NotFound): the server could not find the requested resource",
    ],
)
def test_an_api_server_that_does_not_answer_is_no_end_and_what_it_says_is_not_waited_for_when_it_counts(
    cluster: Cluster, said: str
) -> None:
    scheduler = Scheduler({**SETTINGS, "namespace": "n"})
    cluster.jobs["x"], cluster.pods = {}, [_at(10, _pod("Running", {"running": {}}))]
    assert scheduler.state("x")[0] == "running"
    cluster.down = said
    assert scheduler.state("x")[0] == "running"
    assert scheduler.state("x", fresh=True) == ("unknown", f"kubectl says: {said}")
    assert scheduler.state("x")[0] == "unknown"
    cluster.down = ""
    assert scheduler.state("x", fresh=True)[0] == "running"
    # The pod that had it is gone, and another comes.
    cluster.pods = [
        _at(11, _pod("Pending", {"waiting": {"reason": "ContainerCreating"}})),
        _at(10, _pod("Failed", reason="Evicted", message="low on disk")),
    ]
    assert scheduler.state("x", fresh=True) == (
        "waiting",
        "pod p was lost: low on disk; pod p waits: ContainerCreating",
    )
    scheduler.kill("y")
    # The client gives up an agent of which it hears nothing for so long.
    assert 0 < cluster.waited < _QUIET
    cluster.deleted.clear()
    del cluster.jobs["x"]
    assert scheduler.state("x", fresh=True) == ("ended", "Kubernetes does not know job x: it was deleted")
    assert cluster.deleted == []


def test_what_a_cluster_refuses_is_said_also_where_it_says_no_more_then(cluster: Cluster) -> None:
    cluster.down = 'Error from server (NotFound): namespaces "n" not found'
    with pytest.raises(RuntimeError, match='namespaces "n" not found'):
        Scheduler({**SETTINGS, "namespace": "n"}).submit("nbpipe-x", "/shared/work/x", ["true"], {}, set())


def test_without_kubectl_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RuntimeError, match="there is no `kubectl`"):
        Scheduler(SETTINGS).find("x")


def test_a_kubectl_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kubectl").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(RuntimeError, match=r"does not answer within 0\.2 s"):
        Scheduler(SETTINGS)._call(["get"], patience=0.2)
