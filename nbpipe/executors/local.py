"""Jobs on this machine: forked from a warm server on Linux, else `python -m nbpipe.job`."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from nbpipe.executors.base import Capacity, JobState
from nbpipe.executors.devices import Devices
from nbpipe.job.launch import HASH_SEED
from nbpipe.model import JobSpec

_GRACE = 1.5
#: For a server that has been told to end.
_END = 10.0


@dataclass
class _Job:
    folder: Path
    spec: JobSpec
    #: False while it waits for a device that another run has.
    begun: bool = False
    pid: int | None = None
    child: subprocess.Popen[bytes] | None = None
    code: int | None = None


class LocalExecutor:
    """Runs each job in a process group of its own. `warm=False` never uses the fork server.

    The server is started by the first job; `start` does it earlier. Everything dies with this process, but for the parent
    of fork servers that is kept warm for `keep` seconds after its last use, if that is not 0.
    """

    def __init__(
        self,
        *,
        cpus: float | None = None,
        gpus: float = 0.0,
        memory: int | None = None,
        warm: bool = True,
        keep: float = 0.0,
    ) -> None:
        self._devices = Devices(gpus)
        self._capacity = Capacity(
            cpus=cpus or os.cpu_count() or 1, gpus=gpus or float(len(self._devices.names)), memory=memory or _memory()
        )
        self._warm = warm and sys.platform == "linux" and os.environ.get("NBPIPE_FORK") != "0"
        self._keep = keep
        self._jobs: dict[str, _Job] = {}
        self._by_folder: dict[str, _Job] = {}
        self._server: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._partial = b""

    @property
    def capacity(self) -> Capacity:
        """What can run at once."""
        return self._capacity

    def start(self) -> None:
        """Start the fork server, so that its imports are done when the first job comes."""
        if not self._warm or self._channel is not None:
            return
        if self._keep:
            from nbpipe.executors import warm

            self._channel = warm.connect(self._keep)
            if self._channel is not None:
                return
        mine, theirs = socket.socketpair()
        self._server = subprocess.Popen(
            [sys.executable, "-m", "nbpipe.job.server", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**HASH_SEED, **os.environ},
        )
        theirs.close()
        self._channel = mine

    def submit(self, job_dir: Path, spec: JobSpec) -> str:
        """Start the job; the same token gives the same handle."""
        if spec.token in self._jobs:
            return spec.token
        job = _Job(job_dir.resolve(), spec)
        self._jobs[spec.token] = job
        self._by_folder[str(job.folder)] = job
        self.start()
        self._begin(job)
        return spec.token

    def _begin(self, job: _Job) -> None:
        """Start its process, unless it has to wait for a device."""
        given = self._devices.take(job.spec.token, job.spec.gpus or 0.0)
        if given is None:
            return
        job.begun = True
        if self._channel is not None:
            with contextlib.suppress(OSError):
                self._channel.sendall(json.dumps({"job": str(job.folder), "env": given}).encode() + b"\n")
                return
            self._lose_server()
        with (job.folder / "runner.log").open("ab") as log:
            job.child = subprocess.Popen(
                [sys.executable, "-m", "nbpipe.job", str(job.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**HASH_SEED, **os.environ, **given, "NBPIPE_PARENT": str(os.getpid())},
            )
        job.pid = job.child.pid

    def poll(self, handle: str) -> JobState:
        """How it is, without waiting."""
        job = self._jobs.get(handle)
        if job is None:
            return JobState("lost")
        if not job.begun and job.code is None:
            self._begin(job)
            if not job.begun:
                return JobState("running", begun=False)
        if job.child is not None:
            job.code = job.child.poll()
        elif job.code is None:
            self._listen()
            if job.code is None and self._channel is None:
                self._devices.give_back(handle)
                return JobState("lost")
        if job.code is None:
            return JobState("running")
        self._devices.give_back(handle)
        return JobState("exited", job.code)

    def _listen(self, timeout: float = 0.0) -> None:
        """Take in what the server says; its end means that its jobs are lost."""
        while self._channel is not None and select.select([self._channel], [], [], timeout)[0]:
            try:
                data = self._channel.recv(65536)
            except OSError:
                data = b""
            if not data:
                self._lose_server()
                return
            self._partial += data
            *lines, self._partial = self._partial.split(b"\n")
            for line in lines:
                message = json.loads(line)
                if "ready" in message:
                    continue
                job = self._by_folder[message.get("started") or message["ended"]]
                if "pid" in message:
                    job.pid = message["pid"]
                else:
                    job.code = message["code"]
            timeout = 0.0

    def _lose_server(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._channel, self._warm = None, False

    def cancel(self, handle: str, *, force: bool = False) -> None:
        """INT, TERM, then KILL to the job's group; its kernel goes with it."""
        from nbpipe.job.server import kill_kernel

        job = self._jobs.get(handle)
        if job is None:
            return
        if not job.begun:
            job.code = 130 if job.code is None else job.code
            return
        deadline = time.monotonic() + _GRACE
        while job.pid is None and self.poll(handle).state == "running" and time.monotonic() < deadline:
            self._listen(0.05)
        signals = (signal.SIGKILL,) if force else (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
        for number in signals:
            if job.pid is None or self.poll(handle).state != "running":
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.pid, number)
            until = time.monotonic() + (_GRACE / 2 if number != signal.SIGKILL else 0.5)
            while self.poll(handle).state == "running" and time.monotonic() < until:
                time.sleep(0.01)
        kill_kernel(job.folder)

    def close(self) -> None:
        """Kill what still runs, end the server."""
        for handle in self._jobs:
            if self.poll(handle).state == "running":
                self.cancel(handle)
        if self._channel is not None:
            # The server ends when it hears nothing more, and with it what its jobs have started.
            with contextlib.suppress(OSError):
                self._channel.shutdown(socket.SHUT_WR)
                self._channel.settimeout(_END)
                while self._channel.recv(65536):
                    pass
        self._lose_server()
        if self._server is not None:
            self._server.wait(timeout=_END)
            self._server = None


def _memory() -> int | None:
    """Bytes of memory of this machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
