"""What is said to Ray's Jobs API, and how its answers are understood: a server that answers as Ray's does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from nbpipe.executors.ssh import link
from nbpipe.executors.ssh.there import ray
from nbpipe.executors.ssh.there.ray import Scheduler

_NODE: dict[str, Any] = {"state": "ALIVE", "nodeId": "a1", "resourcesTotal": {"CPU": 4.0, "GPU": 2.0, "memory": 1e9}}


class Cluster(ThreadingHTTPServer):
    """Keeps what was handed in. `loses` answers: they are not sent, though what they answer was done."""

    jobs: dict[str, dict[str, Any]]
    loses = 0
    #: Whether a proxy before it answers in its place, which does not find it.
    hides = False
    daemon_threads = True


class _Answers(BaseHTTPRequestHandler):
    server: Cluster

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Nothing."""

    def _answer(self, code: int, value: Any) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def do_GET(self) -> None:
        if self.path.startswith("/nodes"):
            rows = [{"raylet": _NODE}, {"raylet": {**_NODE, "state": "DEAD", "nodeId": "b2"}}, {"raylet": _NODE}]
            self._answer(200, {"data": {"summary": rows}})
            return
        job = self.server.jobs.get(self.path.rsplit("/", 1)[1])
        self._answer(200, job) if job else self._lacks(self.path.rsplit("/", 1)[1])

    def _lacks(self, name: str) -> None:
        self.send_response(404)
        self.end_headers()
        self.wfile.write(b"default backend - 404" if self.server.hides else f"Job {name} does not exist".encode())

    def do_POST(self) -> None:
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = order.get("submission_id") or self.path.split("/")[-2]
        if self.path.endswith("/stop"):
            self.server.jobs[name]["status"] = "STOPPED"
        elif name in self.server.jobs:
            self._answer(500, "Traceback\nValueError: it exists already")
            return
        elif order["entrypoint"].startswith("refused"):
            self._answer(400, "no such resource")
            return
        else:
            self.server.jobs[name] = {**order, "status": "PENDING", "message": "waits  for\na GPU"}
        if self.server.loses:
            self.server.loses -= 1
            self.close_connection = True
            return
        self._answer(200, {"submission_id": name})


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    server = Cluster(("127.0.0.1", 0), _Answers)
    server.jobs = {}
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def scheduler(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    monkeypatch.setattr(ray, "_PAUSE", 0.0)
    return Scheduler({"address": f"http://127.0.0.1:{cluster.server_port}/"})


def test_a_job_is_handed_in_once_with_what_it_asks_for(cluster: Cluster, scheduler: Scheduler) -> None:
    cluster.loses = 1
    asked = {"cpus": 2.0, "gpus": 0.5, "memory": 1000, "timeout": None}
    command = ["/a python", "/x/keeper.py", "/x/f00"]
    assert scheduler.submit("nbpipe-f00", "/x/f00", command, asked, {"SECRET"}) == "nbpipe-f00"
    assert scheduler.submit("nbpipe-f00", "/x/f00", command, asked, {"SECRET"}) == "nbpipe-f00"
    (job,) = cluster.jobs.values()
    assert job["entrypoint"] == "'/a python' /x/keeper.py /x/f00"
    assert (job["entrypoint_num_cpus"], job["entrypoint_num_gpus"], job["entrypoint_memory"]) == (2.0, 0.5, 1000)
    assert scheduler.find("nbpipe-other") == ""


def test_what_the_cluster_refuses_is_said_in_its_words(scheduler: Scheduler) -> None:
    with pytest.raises(RuntimeError, match="no such resource"):
        scheduler.submit("nbpipe-f00", "/x/f00", ["refused"], {}, set())


def test_its_states_are_understood_and_an_outage_is_no_end(
    cluster: Cluster, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler.submit("nbpipe-f00", "/x/f00", ["python"], {}, set())
    assert scheduler.state("nbpipe-f00") == ("waiting", "Ray says: waits for a GPU")
    cluster.jobs["nbpipe-f00"]["status"] = "RUNNING"
    assert scheduler.state("nbpipe-f00") == ("running", "")
    with monkeypatch.context() as patch:
        patch.setattr(scheduler, "_address", "http://127.0.0.1:1")
        state, why = scheduler.state("nbpipe-f00")
        assert (state, "does not answer" in why) == ("unknown", True)
    # One that takes connections, and is silent.
    with monkeypatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as silent:
        assert 0 < ray._SOON < link._QUIET
        patch.setattr(ray, "_SOON", 0.1)
        patch.setattr(scheduler, "_address", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert scheduler.state("nbpipe-f00")[0] == "unknown"
    assert scheduler.state("nbpipe-f00") == ("running", "")
    scheduler.kill("nbpipe-f00")
    assert scheduler.state("nbpipe-f00")[0] == "ended"
    cluster.jobs.clear()
    assert scheduler.state("nbpipe-f00")[0] == "ended"
    for odd in ({"login": "please"}, ["a"], {"status": 5, "message": 6}):
        cluster.jobs["nbpipe-f00"] = odd  # type: ignore[assignment]
        assert scheduler.state("nbpipe-f00")[0] == "unknown"
    cluster.jobs.clear()
    cluster.hides = True
    assert scheduler.state("nbpipe-f00") == ("unknown", "Ray says: default backend - 404")


def test_a_job_whose_node_is_dead_has_ended_whatever_is_said_of_the_job_yet(
    cluster: Cluster, scheduler: Scheduler
) -> None:
    scheduler.submit("nbpipe-f00", "/x/f00", ["python"], {}, set())
    cluster.jobs["nbpipe-f00"] |= {"status": "RUNNING", "driver_node_id": "a1"}
    assert scheduler.state("nbpipe-f00") == ("running", "")
    cluster.jobs["nbpipe-f00"]["driver_node_id"] = "b2"
    assert scheduler.state("nbpipe-f00") == ("ended", "the node that it ran on is dead")
    cluster.jobs["nbpipe-f00"] |= {"status": "FAILED", "message": "Job supervisor actor died: the actor died because"}
    scheduler._known.clear()
    assert scheduler.state("nbpipe-f00") == ("ended", "the node that it ran on is dead")


def test_what_the_target_needs_of_its_nodes_is_asked_for_and_other_nodes_are_not_counted(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_NODE, "resourcesTotal", {**_NODE["resourcesTotal"], "a100": 2.0})
    address = f"http://127.0.0.1:{cluster.server_port}/"
    fits = Scheduler({"address": address, "resources": {"a100": 1.0}})
    assert fits.facts()["nodes"] == 2
    fits.submit("nbpipe-f00", "/x/f00", ["python"], {}, set())
    assert cluster.jobs["nbpipe-f00"]["entrypoint_resources"] == {"a100": 1.0}
    with pytest.raises(RuntimeError, match="no node of the cluster has a100"):
        Scheduler({"address": address, "resources": {"a100": 4.0}}).facts()


def test_a_job_on_several_nodes_is_handed_in_as_what_reserves_them_and_refused_where_there_are_too_few(
    cluster: Cluster, scheduler: Scheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "source", "the driver", raising=False)
    monkeypatch.setenv("PYTHONPATH", "/x/lib")
    work, asked = str(tmp_path), {"gpus": 2.0, "nodes": 2}
    scheduler.submit("nbpipe-f00", work, ["/a python", "/x/keeper.py", work], asked, set())
    job = cluster.jobs["nbpipe-f00"]
    assert job["entrypoint"] == f"'/a python' {work}/driver.py {work}"
    # Itself it takes none of what its tasks have, and none of the packages of the stage.
    assert set(job) - {"status", "message"} == {"submission_id", "metadata", "entrypoint"}
    assert (tmp_path / "driver.py").read_text() == "the driver"
    order = json.loads((tmp_path / "driver.json").read_text())
    assert (order["nodes"], order["needs"]) == (2, {"num_cpus": 1, "num_gpus": 2})
    assert order["variables"] == {"PYTHONPATH": "/x/lib"}
    for more, said in (({"nodes": 3}, "3 nodes, and 2 of the cluster have"), ({"gpus": 4.0}, "2 nodes, and 0 of")):
        with pytest.raises(RuntimeError, match=said):
            scheduler.submit("nbpipe-f01", work, ["python"], {**asked, **more}, set())


def test_nodes_that_are_dead_are_not_counted(scheduler: Scheduler) -> None:
    facts = scheduler.facts()
    assert (facts["nodes"], facts["slots"], facts["devices"]) == (2, {"cpus": 8.0, "gpus": 4.0}, ["0", "1"])


_RAY = {
    "ray/__init__.py": """
class exceptions:
    RayError = OSError
class Task:
    def __init__(self, does): self.does = does
    def options(self, **_): return self
    def remote(self, *given): return lambda: self.does(*given)
def init(**_): pass
def wait(tasks, **_): return tasks[:1], tasks[1:]
def get(task): return task()
remote = Task
""",
    "ray/util/__init__.py": "def get_node_ip_address(): return '127.0.0.1'\n",
    "ray/util/placement_group.py": """
class placement_group:
    def __init__(self, *_, **__): pass
    def wait(self, seconds): return True
""",
    "ray/util/scheduling_strategies.py": """
class PlacementGroupSchedulingStrategy:
    def __init__(self, *_, **__): pass
""",
}


@pytest.mark.parametrize("code", [0, 3])
def test_the_driver_of_several_nodes_fails_where_one_of_them_does_and_only_there(tmp_path: Path, code: int) -> None:
    for name, text in _RAY.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-c", f"import sys; sys.exit({code})"]
    order = {"command": command, "variables": {}, "needs": {"num_cpus": 1}, "nodes": 2}
    (tmp_path / "driver.json").write_text(json.dumps(order))
    # From elsewhere: its own folder would come first, in which modules have other names.
    words = [sys.executable, "-P", ray.__file__, str(tmp_path), "ray"]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=False, timeout=60)
    assert done.returncode == (1 if code else 0)
    assert (tmp_path / "said").read_text() == (
        f"what ran on node 0 of 2 was ended there: exit code {code}" if code else ""
    )
