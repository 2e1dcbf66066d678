"""Jobs on this machine: forked from a warm server on Linux, else `python -m nbpipe.job`."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nbpipe.executors.base import Capacity, JobState
from nbpipe.executors.devices import Devices
from nbpipe.executors.servers import ForkServer
from nbpipe.job.launch import HASH_SEED
from nbpipe.job.libraries import PYTHONS, suit
from nbpipe.job.readable import readable
from nbpipe.model import JobSpec

_GRACE = 1.5
#: Kernels that wait for a job at once.
_AHEAD = 8


@dataclass
class _Job:
    folder: Path
    spec: JobSpec
    #: False while it waits for a device that another run has.
    begun: bool = False
    pid: int | None = None
    child: subprocess.Popen[bytes] | None = None
    code: int | None = None
    server: ForkServer | None = None


class LocalExecutor:
    """Runs each job in a process group of its own. `warm=False` never uses a fork server.

    The server is started by the first job; `start` does it earlier. Jobs that import one of the modules `libraries` come
    from a second one, which has imported them. Everything dies with this process, but for the parents of fork servers
    that are kept warm for `keep` seconds after their last use, if that is not 0.
    """

    def __init__(
        self,
        *,
        cpus: float | None = None,
        gpus: float = 0.0,
        memory: int | None = None,
        warm: bool = True,
        keep: float = 0.0,
        libraries: Sequence[str] = (),
    ) -> None:
        self._devices = Devices(gpus)
        self._capacity = Capacity(
            cpus=cpus or os.cpu_count() or 1, gpus=gpus or float(len(self._devices.names)), memory=memory or _memory()
        )
        self._warm = warm and sys.platform == "linux" and os.environ.get("NBPIPE_FORK") != "0"
        self._keep = keep
        self._jobs: dict[str, _Job] = {}
        self._by_folder: dict[str, _Job] = {}
        self._server: ForkServer | None = None
        self._libraries = tuple(libraries)
        self._stocked: ForkServer | None = None
        #: The server of the last job.
        self._last: ForkServer | None = None
        #: How many jobs would have come from the second server.
        self._importing = 0

    @property
    def capacity(self) -> Capacity:
        """What can run at once."""
        return self._capacity

    def start(self) -> None:
        """Start the fork server, so that its imports are done when the first job comes."""
        if self._warm and self._server is None:
            self._server = ForkServer(self._keep)

    def expect(self, jobs: int, cwd: str) -> None:
        """Have kernels wait in a folder, where that many jobs may run there soon."""
        self.start()
        last = self._last or (None if self._libraries else self._server)
        if last is not None and last.lives:
            last.ahead(min(jobs, int(self._capacity.cpus), _AHEAD), cwd)

    def _from(self, spec: JobSpec) -> ForkServer | None:
        """The server that a job comes from; None where it starts cold."""
        if not self._warm:
            return None
        if self._libraries and suit(spec):
            self._importing += 1
            # For one job that is not kept, it would import what the job then imports itself.
            if self._stocked is None and (self._keep or self._importing > 1):
                self._stocked = ForkServer(self._keep, self._libraries)
            if self._stocked is not None and self._stocked.lives:
                return self._stocked
        self.start()
        return self._server

    def submit(self, job_dir: Path, spec: JobSpec) -> str:
        """Start the job; the same token gives the same handle."""
        if spec.token in self._jobs:
            return spec.token
        job = _Job(job_dir.resolve(), spec)
        self._jobs[spec.token] = job
        self._by_folder[str(job.folder)] = job
        self._begin(job)
        return spec.token

    def _begin(self, job: _Job) -> None:
        """Start its process, unless it has to wait for a device."""
        given = self._devices.take(job.spec.token, job.spec.gpus or 0.0)
        if given is None:
            return
        job.begun = True
        job.server = self._last = self._from(job.spec)
        spec = job.spec
        cwd = "" if spec.env or spec.nproc or spec.kernel not in PYTHONS else spec.cwd
        if job.server is not None and job.server.begin(job.folder, given, cwd):
            return
        job.server = None
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
            if job.code is None and (job.server is None or not job.server.lives):
                self._devices.give_back(handle)
                if job.server is not None and job.server is self._stocked and not job.server.spoke:
                    # It could not import what it was told to, and has started nothing.
                    self._libraries = ()
                    self._begin(job)
                    return JobState("running", begun=job.begun)
                return JobState("lost")
        if job.code is None:
            return JobState("running")
        self._devices.give_back(handle)
        return JobState("exited", job.code)

    def wait(self, seconds: float) -> None:
        """Until a server says something, but no longer than that."""
        found = self.channels
        if not found:
            time.sleep(seconds)
            return
        readable(found, seconds)
        self._listen()

    @property
    def channels(self) -> list[socket.socket]:
        """What its servers say comes through these."""
        servers = (self._server, self._stocked)
        return [server.channel for server in servers if server is not None and server.channel is not None]

    def _listen(self, timeout: float = 0.0) -> None:
        """Take in what the servers say; the end of one means that its jobs are lost."""
        for server in filter(None, (self._server, self._stocked)):
            for message in server.listen(timeout):
                job = self._by_folder[message.get("started") or message["ended"]]
                if "pid" in message:
                    job.pid = message["pid"]
                    if job.code is not None:
                        # It was withdrawn, a moment too late.
                        with contextlib.suppress(ProcessLookupError):
                            os.killpg(message["pid"], signal.SIGKILL)
                else:
                    job.code = message["code"]
        if self._server is not None and not self._server.lives:
            self._warm = False

    def cancel(self, handle: str, *, force: bool = False) -> None:
        """INT, TERM, then KILL to the job's group; its kernel goes with it."""
        from nbpipe.job.folder import withdraw
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
        if job.pid is None and job.child is None:
            # The server has not come to it yet, and shall not start it any more.
            job.code = 130 if job.code is None else job.code
            withdraw(job.folder)
            self._listen(0.05)
        kill_kernel(job.folder)

    def close(self) -> None:
        """Kill what still runs, end the server."""
        for handle in self._jobs:
            if self.poll(handle).state == "running":
                self.cancel(handle)
        for server in filter(None, (self._server, self._stocked)):
            server.close()
        self._server = self._stocked = None
        self._warm = False


def _memory() -> int | None:
    """Bytes of memory of this machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
