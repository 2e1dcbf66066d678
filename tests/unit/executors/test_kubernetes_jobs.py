"""What is handed to Kubernetes, and how its answers are understood."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest

from nbpipe.executors.ssh.there import kubernetes
from nbpipe.executors.ssh.there.kubernetes import Scheduler, manifest, quantity, read_pod
from nbpipe.targets.settings import Target

TARGET = Target(name="c", kind="kubernetes", image="r/x:1", claim="data", folder="/shared", python="python")
SETTINGS = msgspec.to_builtins(TARGET)


def _pod(phase: str, state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    statuses = [{"state": state}] if state else []
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
    assert made["spec"]["activeDeadlineSeconds"] > 60


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
    def call(self: Scheduler, words: list[str], text: str = "") -> str:
        if words[:2] == ["get", "--raw"]:
            raise RuntimeError("kubectl says: Error from server (Forbidden): nodes is forbidden")
        return "digits"

    monkeypatch.setattr(kubernetes.Scheduler, "_call", call)
    with pytest.raises(RuntimeError, match="set cpus, memory"):
        Scheduler(SETTINGS).facts()
    found = Scheduler({**SETTINGS, "cpus": 8.0, "memory": 1 << 30, "gpus": 2.0}).facts()
    assert (found["cpus"], found["devices"], found["nodes"]) == (8, ["0", "1"], 1)


def test_without_kubectl_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RuntimeError, match="there is no `kubectl`"):
        Scheduler(SETTINGS).find("x")
