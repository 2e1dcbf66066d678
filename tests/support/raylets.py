"""A Ray cluster of our own on 127.0.0.1: a head and a second node, two pretended GPUs each, in an environment of its own.

It runs in the foreground, in process groups of its own, and ends with the tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engines import environment_of

from nbpipe.targets.settings import Target

RAY = "ray[default]==2.60.0"
#: Of 127.0.0.1 only does Ray know that nobody else has to reach it: its metrics, agents and GCS listen on every interface
#: for any other address. It takes this machine's own address instead, unless it believes that clusters have one node only.
_LOOPBACK = "127.0.0.1"
_ONE_NODE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_START = (
    "from ray._private import ray_constants, services; from ray.scripts.scripts import main; "
    f"services.get_node_ip_address = lambda address=None: '{_LOOPBACK}'; ray_constants.ENABLE_RAY_CLUSTER = True; main()"
)


def free_ports(count: int) -> list[int]:
    """So many ports of the loopback that nobody listens on."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    found = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return found


@dataclass
class Ray:
    """A running cluster. `nodes` are its processes, by name."""

    root: Path
    python: Path
    port: int
    dashboard: int
    nodes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    #: What each node was started with.
    started: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Of its dashboard."""
        return f"http://127.0.0.1:{self.dashboard}"

    def target(self, python: str, **fields: object) -> Target:
        """A target that leads here."""
        given = {"name": "cluster", "kind": "ray", "python": python, "address": self.address}
        return Target(**{**given, "folder": str(self.root / "shared"), **fields})  # type: ignore[arg-type]

    def node(self, name: str, *words: str) -> None:
        """Start one."""
        self.started[name] = words
        given = {
            "RAY_USAGE_STATS_ENABLED": "0",
            # Beside a busy suite its own processes start slowly; it would give them up.
            "RAY_agent_register_timeout_ms": "180000",
            "RAY_raylet_start_wait_time_s": "45",
            "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "180",
            "RAY_DASHBOARD_SUBPROCESS_MODULE_WAIT_READY_TIMEOUT": "180",
            "TMPDIR": str(self.root),
            **_ONE_NODE,
        }
        # A raylet gives its agent 15 seconds, which is enough only where nothing has to be compiled first.
        environment = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | given
        # With ports of our choice it does not wait, for so many seconds only, until each of its processes has chosen one.
        kinds = ("dashboard-agent-grpc", "dashboard-agent-listen", "metrics-export", "runtime-env-agent")
        chosen = zip(kinds, free_ports(len(kinds)), strict=True)
        words = (*words, *(f"--{kind}-port={port}" for kind, port in chosen))
        command = [str(self.python), "-c", _START, "start", "--block", "--disable-usage-stats", "--num-cpus=4"]
        with (self.root / f"{name}.log").open("ab") as log:
            self.nodes[name] = subprocess.Popen(
                [
                    *command,
                    "--num-gpus=2",
                    "--object-store-memory=100000000",
                    "--include-log-monitor=false",
                    f"--resources={json.dumps({name: 1000})}",
                    *words,
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root,
                start_new_session=True,
            )

    def start(self) -> None:
        """Start the head, and then the other."""
        self.node(
            "head", "--head", f"--node-ip-address={_LOOPBACK}", f"--port={self.port}", f"--dashboard-host={_LOOPBACK}",
            f"--dashboard-port={self.dashboard}", f"--temp-dir={self.root}/t", "--include-dashboard=true",
            f"--ray-client-server-port={free_ports(1)[0]}",
        )  # fmt: skip
        self.await_nodes(1)
        self.join()

    def join(self) -> None:
        """Start the second node."""
        self.node("second", f"--address={_LOOPBACK}:{self.port}", f"--node-ip-address={_LOOPBACK}")
        self.await_nodes(2)

    def alive(self) -> int:
        """How many nodes the cluster counts."""
        with contextlib.suppress(OSError, ValueError):
            asked = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with asked.open(self.address + "/nodes?view=summary", timeout=5) as answer:
                rows = json.load(answer)["data"]["summary"]
            return sum(1 for row in rows if row.get("raylet", {}).get("state") == "ALIVE")
        return 0

    def await_nodes(self, count: int, seconds: float = 400.0) -> None:
        until = time.monotonic() + seconds
        while self.alive() != count:
            assert time.monotonic() < until, self.logs()
            for name in [name for name, node in self.nodes.items() if node.poll() is not None]:
                # Beside a busy suite those 15 seconds may pass, which nothing sets: Ray's own advice is to start it again.
                self.node(name, *self.started[name])
            time.sleep(0.3)

    def logs(self) -> str:
        """The ends of the logs."""
        return "\n".join(f"== {path.name}\n{path.read_text()[-2000:]}" for path in sorted(self.root.glob("*.log")))

    def lose(self, name: str) -> None:
        """A node dies at once, with all of Ray's processes of it."""
        node = self.nodes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
        node.wait()

    def stop(self) -> None:
        """End all of it."""
        for node in self.nodes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(node.pid, signal.SIGTERM)
        for name, node in list(self.nodes.items()):
            with contextlib.suppress(subprocess.TimeoutExpired):
                node.wait(10)
            self.lose(name)


def _compile(python: Path) -> None:
    """Compile Ray's modules, unless they are: each node starts a dozen processes, which would all do it for themselves."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    # Some files of its packages are for other versions of Python: those cannot be compiled, and are never imported.
    subprocess.run(
        [python, "-m", "compileall", "-qq", "-j", "2", python.parents[1] / "lib"], env=environment, check=False
    )


@contextmanager
def running_ray() -> Iterator[Ray]:
    """A cluster with two nodes, until the block ends."""
    python = environment_of("ray", RAY) / "python"
    _compile(python)
    port, dashboard = free_ports(2)
    # A short path: sockets lie below it.
    root = Path(tempfile.mkdtemp(prefix="ray-"))
    ray = Ray(root, python, port, dashboard)
    try:
        ray.start()
        yield ray
    finally:
        ray.stop()
        shutil.rmtree(root, ignore_errors=True)
