"""Ray, by the Jobs API of an existing cluster, over HTTP: nothing of Ray is imported."""

from __future__ import annotations

import json
import os
import shlex
import time
import urllib.error
import urllib.request
from typing import Any

#: Seconds between two questions about the same job: its folder tells its end at once, this only how it was lost.
_PAUSE = 2.0
_PATIENCE = 30
_WAITING = ("PENDING",)
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_NOT_FOUND = 404


class Scheduler:
    """`settings` are those of the target: the address, and what each job needs of its node.

    The cluster's token is taken from `RAY_AUTH_TOKEN` where it has one.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._address = settings["address"].rstrip("/")
        self._resources: dict[str, float] = settings.get("resources") or {}
        #: Job -> when it was asked for, its state and why.
        self._known: dict[str, tuple[float, str, str]] = {}
        #: The nodes that live, and when they were asked for.
        self._alive: tuple[float, set[str]] = (0.0, set())
        # The cluster is reached as it is written; a proxy for the web leads elsewhere.
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def submit(self, name: str, work: str, command: list[str], asked: dict[str, Any], hidden: set[str]) -> str:
        """Hand a job in; what it is called, which is its name here: handed in twice it is there once."""
        del hidden  # nothing of this process's environment is passed on
        # The cluster's own variables are its nodes'; those that find a Python's packages are ours.
        variables = {key: os.environ[key] for key in ("PYTHONPATH",) if os.environ.get(key)}
        order: dict[str, Any] = {
            "submission_id": name,
            "entrypoint": shlex.join(command),
            "runtime_env": {"env_vars": variables},
            "metadata": {"nbpipe": os.path.basename(work)},
            # What asks for nothing runs on the head node, which may be small.
            "entrypoint_num_cpus": asked.get("cpus") or 1,
        }
        if self._resources:
            order["entrypoint_resources"] = self._resources
        if asked.get("gpus"):
            order["entrypoint_num_gpus"] = asked["gpus"] if asked["gpus"] < 1 else int(asked["gpus"])
        if asked.get("memory"):
            order["entrypoint_memory"] = asked["memory"]
        try:
            self._ask("/api/jobs/", order)
        except RuntimeError:
            # Where it is there, the answer to an earlier attempt was lost.
            if not self.find(name):
                raise
        return name

    def find(self, name: str) -> str:
        """The job of this name, if there is one; else empty."""
        return name if self._ask(f"/api/jobs/{name}") else ""

    def state(self, number: str) -> tuple[str, str]:
        """`waiting`, `running` or `ended`, and why; what was heard last, where the cluster does not answer."""
        when, state, why = self._known.get(number, (0.0, "waiting", ""))
        if time.time() - when < _PAUSE:
            return state, why
        try:
            found = self._ask(f"/api/jobs/{number}")
            state, why = self._read(found)
            if state != "waiting" and self._lost((found or {}).get("driver_node_id") or ""):
                # The cluster knows of a node at once what it may say of the job only later, and in many words.
                state, why = "ended", "the node that it ran on is dead"
        except RuntimeError as error:
            why = str(error)
        self._known[number] = (time.time(), state, why)
        return state, why

    def _read(self, found: Any) -> tuple[str, str]:
        if not found:
            return "ended", "the Ray cluster does not know the job: it was started anew"
        status, message = found["status"], " ".join((found.get("message") or "").split())[:300]
        if status in _ENDED:
            return "ended", f"Ray says {status}: {message}"
        if status in _WAITING:
            return "waiting", f"Ray says: {message}" if message else ""
        return "running", ""

    def _lost(self, node: str) -> bool:
        """Whether the cluster gave this node up."""
        when, alive = self._alive
        if time.time() - when >= _PAUSE:
            alive = {raylet.get("nodeId", "") for raylet in self._nodes()}
            self._alive = (time.time(), alive)
        return bool(node) and node not in alive

    def kill(self, number: str) -> None:
        """Stop it at once. Nothing happens if it has ended, or the cluster is gone."""
        try:
            self._ask(f"/api/jobs/{number}/stop", {})
        except RuntimeError:
            return

    def facts(self) -> dict[str, Any]:
        """What a node has at most that jobs can go to, and all of those together."""
        everywhere = [raylet["resourcesTotal"] for raylet in self._nodes()]
        nodes = [
            node for node in everywhere if all(node.get(name, 0) >= part for name, part in self._resources.items())
        ]
        if not nodes:
            raise RuntimeError(f"no node of the cluster has {' and '.join(sorted(self._resources))}")
        most = int(max(node.get("GPU", 0) for node in nodes))
        return {
            "cpus": max(node.get("CPU", 0) for node in nodes),
            "memory": int(max(node.get("memory", 0) for node in nodes)),
            "gpus": [],
            "devices": [str(number) for number in range(most)],
            "slots": {name.lower() + "s": sum(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU")},
            "nodes": len(nodes),
        }

    def _nodes(self) -> list[Any]:
        """Those that live. Raises RuntimeError where it names none: then it is no cluster."""
        told = self._ask("/nodes?view=summary") or {}
        named = (row.get("raylet", {}) for row in told.get("data", {}).get("summary", []))
        found = [raylet for raylet in named if raylet.get("state") == "ALIVE"]
        if not found:
            raise RuntimeError(f"{self._address} names no node of a Ray cluster")
        return found

    def _ask(self, path: str, order: dict[str, Any] | None = None) -> Any:
        """What the cluster answers; None where there is no such thing. Raises RuntimeError with what it says."""
        headers = {"Content-Type": "application/json"}
        if os.environ.get("RAY_AUTH_TOKEN"):
            headers["Authorization"] = "Bearer " + os.environ["RAY_AUTH_TOKEN"]
        data = None if order is None else json.dumps(order).encode()
        request = urllib.request.Request(self._address + path, data=data, headers=headers)  # noqa: S310 - http or https, read by settings
        try:
            with self._open(request, timeout=_PATIENCE) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == _NOT_FOUND:
                return None
            said = error.read(2000).decode("utf-8", "replace").strip().splitlines()
            raise RuntimeError(f"Ray says: {said[-1][:300] if said else error.reason}") from None
        except (OSError, ValueError) as error:
            raise RuntimeError(f"{self._address} does not answer: {error}") from None
