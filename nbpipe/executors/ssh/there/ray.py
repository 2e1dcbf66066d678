"""Ray, by the Jobs API of an existing cluster, over HTTP: nothing of Ray is imported here.

A job on several nodes is handed in as `python driver.py FOLDER`, which is this module once more: with the Python that Ray itself
runs on there, it has a placement group with a node for each, and a task in each.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

#: Seconds between two questions about the same job: its folder tells its end at once, this only how it was lost.
_PAUSE = 2.0
#: Seconds that an answer may take; those that are waited for while nobody else is heard take less.
_PATIENCE, _SOON = 30.0, 10.0
_WAITING = ("PENDING",)
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_NOT_FOUND = 404
#: What Ray says of a job that it does not have: another 404 may be that of a proxy before it.
_ABSENT = re.compile(r"Job \S+ does not exist")


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
        order: dict[str, Any] = {"submission_id": name, "metadata": {"nbpipe": os.path.basename(work)}}
        # What asks for nothing runs on the head node, which may be small.
        needs: dict[str, Any] = {"num_cpus": asked.get("cpus") or 1}
        if self._resources:
            needs["resources"] = self._resources
        if asked.get("gpus"):
            needs["num_gpus"] = asked["gpus"] if asked["gpus"] < 1 else int(asked["gpus"])
        if asked.get("memory"):
            needs["memory"] = asked["memory"]
        count = asked.get("nodes") or 1
        if count > 1:
            self._prepare(work, {"command": command, "variables": variables, "needs": needs, "nodes": count})
            # With Ray's Python and its own packages: the driver itself does nothing, and is the head node's.
            order["entrypoint"] = shlex.join([command[0], work + "/driver.py", work])
        else:
            order["entrypoint"] = shlex.join(command)
            order["runtime_env"] = {"env_vars": variables}
            order |= {"entrypoint_" + key: value for key, value in needs.items()}
        try:
            self._ask("/api/jobs/", order)
        except RuntimeError:
            # Where it is there, the answer to an earlier attempt was lost.
            if not self.find(name):
                raise
        return name

    def _prepare(self, work: str, order: dict[str, Any]) -> None:
        """Write what the driver reads. Raises RuntimeError where there are fewer nodes than it needs."""
        needs = order["needs"]
        least = {"CPU": needs["num_cpus"], "GPU": needs.get("num_gpus", 0), "memory": needs.get("memory", 0)}
        fit = len(self._fitting({**needs.get("resources", {}), **least}))
        if fit < order["nodes"]:
            have = "has" if fit == 1 else "have"
            raise RuntimeError(
                f"it asks for {order['nodes']} nodes, and {fit} of the cluster {have} what it needs of each"
            )
        with open(work + "/driver.py", "w") as file:
            file.write(globals()["source"])
        with open(work + "/driver.json", "w") as file:
            json.dump(order, file)

    def find(self, name: str) -> str:
        """The job of this name, if there is one; else empty."""
        return name if self._ask(f"/api/jobs/{name}") else ""

    def state(self, number: str, *, fresh: bool = False) -> tuple[str, str]:
        """`waiting`, `running`, `ended`, or `unknown` where the cluster does not answer; and why."""
        when, state, why = self._known.get(number, (0.0, "waiting", ""))
        if time.monotonic() - when < _PAUSE and not fresh:
            return state, why
        try:
            found = self._ask(f"/api/jobs/{number}")
            state, why = self._read(found)
            if state != "waiting" and self._lost((found or {}).get("driver_node_id") or ""):
                # The cluster knows of a node at once what it may say of the job only later, and in many words.
                state, why = "ended", "the node that it ran on is dead"
        except RuntimeError as error:
            state, why = "unknown", str(error)
        except (LookupError, TypeError, AttributeError):
            state, why = "unknown", f"{self._address} answers otherwise than Ray does"
        self._known[number] = (time.monotonic(), state, why)
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
        if time.monotonic() - when >= _PAUSE:
            alive = {raylet.get("nodeId", "") for raylet in self._nodes()}
            self._alive = (time.monotonic(), alive)
        return bool(node) and node not in alive

    def kill(self, number: str) -> None:
        """Stop it at once. Nothing happens if it has ended, or the cluster is gone."""
        try:
            self._ask(f"/api/jobs/{number}/stop", {})
        except RuntimeError:
            return

    def facts(self) -> dict[str, Any]:
        """What a node has at most that jobs can go to, and all of those together."""
        nodes = self._fitting(self._resources)
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

    def _fitting(self, needs: dict[str, float]) -> list[Any]:
        """What those nodes have that have all of this, though it may be in use."""
        everywhere = [raylet["resourcesTotal"] for raylet in self._nodes()]
        return [node for node in everywhere if all(node.get(name, 0) >= part for name, part in needs.items())]

    def _nodes(self) -> list[Any]:
        """Those that live. Raises RuntimeError where it names none: then it is no cluster."""
        told = self._ask("/nodes?view=summary") or {}
        named = (row.get("raylet", {}) for row in told.get("data", {}).get("summary", []))
        found = [raylet for raylet in named if raylet.get("state") == "ALIVE"]
        if not found:
            raise RuntimeError(f"{self._address} names no node of a Ray cluster")
        return found

    def _ask(self, path: str, order: dict[str, Any] | None = None) -> Any:
        """What the cluster answers; None where it has no such job. Raises RuntimeError with what it says."""
        headers = {"Content-Type": "application/json"}
        if os.environ.get("RAY_AUTH_TOKEN"):
            headers["Authorization"] = "Bearer " + os.environ["RAY_AUTH_TOKEN"]
        data = None if order is None else json.dumps(order).encode()
        request = urllib.request.Request(self._address + path, data=data, headers=headers)  # noqa: S310 - http or https, read by settings
        try:
            with self._open(request, timeout=_SOON if order is None else _PATIENCE) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            told = error.read(2000).decode("utf-8", "replace")
            if error.code == _NOT_FOUND and _ABSENT.search(told):
                return None
            said = told.strip().splitlines()
            raise RuntimeError(f"Ray says: {said[-1][:300] if said else error.reason}") from None
        except (OSError, ValueError) as error:
            raise RuntimeError(f"{self._address} does not answer: {error}") from None


# -- on the cluster, for a job on several nodes


def _rays_python() -> str:
    """The Python that Ray itself runs on here, as its raylet was told, from which this process stems; else this one."""
    pid = os.getppid()
    with contextlib.suppress(OSError):
        while pid > 1:
            with open(f"/proc/{pid}/cmdline") as file:
                words = file.read().split("\0")
            for word in words:
                option, _, value = word.partition("=")
                if option == "--python_worker_command" and value:
                    return shlex.split(value)[0]
            with open(f"/proc/{pid}/stat") as file:
                pid = int(file.read().rsplit(")", 1)[1].split()[1])
    return sys.executable


def _drive(work: str) -> str:
    """Run the job's command on each of its nodes until that of the first ends; why it was lost, where it was."""
    import ray
    from ray.util.placement_group import placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    with open(work + "/driver.json") as file:
        order = json.load(file)
    needs, count = order["needs"], order["nodes"]
    ray.init(log_to_driver=False, logging_level="ERROR")
    named = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
    bundle = {**needs.get("resources", {}), **{name: needs[key] for key, name in named.items() if key in needs}}
    group = placement_group([bundle] * count, strategy="STRICT_SPREAD")
    # All of them at once or none: two jobs never wait for each other with half of what they need.
    while not group.wait(2):
        _say(work, f"waits in Ray for {count} nodes that are free")
    _say(work, "")
    running = {}
    for number in range(count):
        place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=number)
        task = ray.remote(_on_node).options(**needs, max_retries=0, scheduling_strategy=place)
        running[task.remote(order["command"], order["variables"], number)] = number
    while True:
        for task in ray.wait(list(running))[0]:
            number = running.pop(task)
            try:
                code = ray.get(task)
            except ray.exceptions.RayError as error:
                return f"node {number} of {count} was lost: {type(error).__name__}"
            if code:
                return f"what ran on node {number} of {count} was ended there: exit code {code}"
            if not number:
                # The others have seen its end, and end by themselves.
                if running:
                    ray.wait(list(running), num_returns=len(running), timeout=5)
                return ""


def _say(work: str, why: str) -> None:
    with open(work + "/said", "w") as file:
        file.write(why)


def _on_node(command: list[str], variables: dict[str, str], number: int) -> int:
    """Run the command here, in a task; it sees to it that it does not outlive this process."""
    import ray

    given = {**os.environ, **variables, "NBPIPE_NODES_WAIT": "1"}
    given.setdefault("MASTER_ADDR", ray.util.get_node_ip_address())
    words = [*command, *([str(number)] if number else [])]
    with subprocess.Popen(words, env=given, start_new_session=True) as child:
        return child.wait()


if __name__ == "__main__":
    if sys.argv[2:]:
        said = _drive(sys.argv[1])
        _say(sys.argv[1], said)
        sys.exit(said or 0)
    # Its packages are its own, whatever finds those of the stage.
    given = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    python = _rays_python()
    os.execve(python, [python, *sys.argv, "ray"], given)  # noqa: S606 - no shell is wanted
