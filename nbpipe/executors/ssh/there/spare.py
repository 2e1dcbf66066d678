"""Runners that have all that they need imported: one that waits for the next job, or as many as are asked for, forked.

They are forked where processes are kept warm (`nbpipe.job.parent`): the one that they are forked from outlives the
connection. Without it, one waits as long as somebody is connected.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import Any

#: Seconds within which a fork server says that it has started a job; that is all that it has to do.
_STARTED = 20.0
_GONE = 5.0


class Spare:
    """At most one that waits, and the way in which jobs are started: in it, or in a new one.

    It waits at a pipe whose other end is this process's: it ends with it.
    """

    def __init__(self, keeper: Any, root: str, keep_warm: float = 0.0) -> None:
        self._keeper = keeper
        self._root = root
        self._keep_warm = keep_warm
        #: The pipe to the keeper that waits with it, and what it is started with.
        self._orders = -1
        self._environment: dict[str, str] | None = None
        self._python = ""

    def have(self, environment: dict[str, str], python: str) -> None:
        """Have one of this Python from now on."""
        if self._python != python and self._orders >= 0:
            os.close(self._orders)
            self._orders = -1
        self._environment, self._python = environment, python
        self.fill()

    def fill(self) -> None:
        """Start one where there should be one and is none."""
        if self._orders >= 0 or self._environment is None:
            return
        there, self._orders = os.pipe()
        self._keeper.detach(lambda: self._wait(there, self._python), open_end=there)
        os.close(there)

    def _wait(self, orders: int, python: str) -> None:
        """Get a runner ready, then keep the job that one line of JSON says; where the pipe ends without one, end."""
        ready = self._server(python) or Runner(runner(python), self._given(), self._root)
        with os.fdopen(orders) as file:
            line = file.readline()
        if line:
            self._keeper.keep(argv=runner(python), ready=ready, **json.loads(line))
        ready.close()

    def _given(self) -> dict[str, str]:
        """What every job has. A job's own variables, its secrets among them, are told to its runner alone."""
        return {**os.environ, **(self._environment or {})}

    def _server(self, python: str) -> Server | None:
        if self._environment is None or not self._keep_warm:
            return None
        return Server(python, self._given(), self._root, self._keep_warm)

    def begin(self, order: dict[str, Any], python: str) -> None:
        """Give a job to the keeper that waits; to a new one where none does."""
        orders = -1
        if python == self._python:
            orders, self._orders = self._orders, -1
        if orders >= 0:
            try:
                with os.fdopen(orders, "w") as file:
                    file.write(json.dumps(order) + "\n")
                return
            except OSError:
                pass
        self._keeper.detach(lambda: self._keeper.keep(argv=runner(python), ready=self._server(python), **order))


class Runner:
    """One that waits for a job on its input.

    It starts in `folder`, whose modules it finds first: in the home one's own `json.py` would be taken for Python's.
    """

    def __init__(self, argv: list[str], environment: dict[str, str], folder: str) -> None:
        self._child = _quiet(argv, environment, folder, stdin=subprocess.PIPE)

    def begin(self, work: str, environment: dict[str, str]) -> subprocess.Popen[bytes] | None:
        """It, now at work; None where it has ended meanwhile."""
        if self._child.stdin is None or self._child.poll() is not None:
            return None
        try:
            self._child.stdin.write(json.dumps({"work": work, "environment": environment}).encode() + b"\n")
            self._child.stdin.close()
        except OSError:
            return None
        return self._child

    def close(self) -> None:
        """It ends where it has no job; it is waited for."""
        if self._child.stdin is not None:
            with contextlib.suppress(OSError):
                self._child.stdin.close()
        self._child.wait()


class Server:
    """A fork server that is found, or started, by a process with nbpipe, which hands over the connection and ends."""

    def __init__(self, python: str, environment: dict[str, str], folder: str, keep_warm: float) -> None:
        self._mine, theirs = socket.socketpair()
        words = ["-m", "nbpipe.executors.warm", str(theirs.fileno()), repr(keep_warm)]
        self._child = _quiet([python or sys.executable, *words], environment, folder, pass_fds=[theirs.fileno()])
        theirs.close()

    def begin(self, work: str, environment: dict[str, str]) -> Forked | None:
        """A runner at work; None where there is no server, so that none was started."""
        size = array.array("i").itemsize
        control: list[Any] = []
        with contextlib.suppress(OSError):
            _, control, _, _ = self._mine.recvmsg(1, socket.CMSG_SPACE(size))
        if not control:
            return None
        descriptor = array.array("i", control[0][2][:size])[0]
        return Forked(socket.socket(fileno=descriptor), work, environment)

    def close(self) -> None:
        """A server that has no job ends."""
        self._mine.close()
        self._child.wait()


class Forked:
    """A runner that a fork server has started. It is asked about as a child would be, and ends with this process."""

    def __init__(self, channel: socket.socket, work: str, environment: dict[str, str]) -> None:
        self.pid = 0
        self.returncode: int | None = None
        self._channel = channel
        self._partial = b""
        with contextlib.suppress(OSError):
            order = {"job": work + "/job", "elsewhere": work, "env": environment}
            channel.sendall(json.dumps(order).encode() + b"\n")
        until = time.monotonic() + _STARTED
        while not self.pid and self.returncode is None and time.monotonic() < until:
            self._listen(until - time.monotonic())
        if not self.pid:
            # Whether it was started, nobody can say: if so, it ends with the connection.
            self._lose()

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        if self.returncode is None:
            self._listen(0.0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Its exit code. Raises TimeoutExpired."""
        until = time.monotonic() + timeout
        while self.returncode is None:
            left = until - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired("a runner", timeout)
            self._listen(left)
        return self.returncode

    def _listen(self, seconds: float) -> None:
        if not select.select([self._channel], [], [], max(seconds, 0.0))[0]:
            return
        try:
            data = self._channel.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()
        for said in map(json.loads, lines):
            if "started" in said:
                self.pid = said["pid"]
            elif "ended" in said:
                self.returncode = said["code"]
                # The server has nothing else to do.
                self._channel.close()

    def _lose(self) -> None:
        """The server is gone, and what it has started goes with it; it does so at once."""
        self._channel.close()
        self.returncode = -signal.SIGKILL
        if self.pid:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)


def _quiet(argv: list[str], environment: dict[str, str], folder: str, **more: Any) -> subprocess.Popen[bytes]:
    null = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(argv, cwd=folder, env=environment, start_new_session=True, **{**null, **more})


def runner(python: str) -> list[str]:
    """What runs jobs with this Python, or with the agent's own."""
    return [python or sys.executable, "-m", "nbpipe.job.elsewhere"]
