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

#: Of the loopback; 127.0.0.1 itself it takes for the address by which others reach this machine.
_HEAD = "127.0.0.2"
_RAY = "ray[default]==2.60.0"


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
    command: Path
    port: int
    dashboard: int
    nodes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

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
        given = {
            "RAY_USAGE_STATS_ENABLED": "0",
            # Beside a busy suite its own processes start slowly; it would give them up.
            "RAY_agent_register_timeout_ms": "180000",
            "RAY_raylet_start_wait_time_s": "180",
            "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "180",
            "RAY_DASHBOARD_SUBPROCESS_MODULE_WAIT_READY_TIMEOUT": "180",
            "TMPDIR": str(self.root),
        }
        # With ports of our choice it does not wait, for so many seconds only, until each of its processes has chosen one.
        kinds = ("dashboard-agent-grpc", "dashboard-agent-listen", "metrics-export", "runtime-env-agent")
        chosen = zip(kinds, free_ports(len(kinds)), strict=True)
        words = (*words, *(f"--{kind}-port={port}" for kind, port in chosen))
        command = [str(self.command), "start", "--block", "--disable-usage-stats", "--num-cpus=4", "--num-gpus=2"]
        with (self.root / f"{name}.log").open("ab") as log:
            self.nodes[name] = subprocess.Popen(
                [*command, "--object-store-memory=100000000", *words],
                env={**os.environ, **given},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root,
                start_new_session=True,
            )

    def start(self) -> None:
        """Start the head, and then the other."""
        self.node(
            "head", "--head", f"--node-ip-address={_HEAD}", f"--port={self.port}", "--dashboard-host=127.0.0.1",
            f"--dashboard-port={self.dashboard}", f"--temp-dir={self.root}/t", "--include-dashboard=true",
        )  # fmt: skip
        self.await_nodes(1)
        self.join()

    def join(self) -> None:
        """Start the second node."""
        self.node("second", f"--address={_HEAD}:{self.port}", "--node-ip-address=127.0.0.3")
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


@contextmanager
def running_ray() -> Iterator[Ray]:
    """A cluster with two nodes, until the block ends."""
    command = environment_of("ray", _RAY) / "ray"
    port, dashboard = free_ports(2)
    # A short path: sockets lie below it.
    root = Path(tempfile.mkdtemp(prefix="ray-"))
    ray = Ray(root, command, port, dashboard)
    try:
        ray.start()
        yield ray
    finally:
        ray.stop()
        shutil.rmtree(root, ignore_errors=True)
