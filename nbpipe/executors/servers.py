"""Processes of `nbpipe.job.server`, seen from the executor: started or found warm, told to begin jobs, listened to."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nbpipe.job.launch import HASH_SEED
from nbpipe.job.readable import readable

#: For a server that has been told to end.
_END = 10.0


class ForkServer:
    """One such process: a child of the parent that is kept warm for `keep` seconds, else, or where `keep` is 0, of this one.

    It has imported the modules `libraries`. What it has started ends with it, and it ends with this process.
    """

    def __init__(self, keep: float, libraries: Sequence[str] = ()) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._partial = b""
        #: Whether it has ever said that it started a job.
        self.spoke = False
        if keep:
            from nbpipe.executors import warm

            self._channel = warm.connect(keep, libraries)
        if self._channel is None:
            self._channel = self._start(libraries)

    def _start(self, libraries: Sequence[str]) -> socket.socket:
        mine, theirs = socket.socketpair()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "nbpipe.job.server", str(theirs.fileno()), *libraries],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**HASH_SEED, **os.environ},
        )
        theirs.close()
        return mine

    @property
    def pid(self) -> int | None:
        """Its process, where it is a child of this one."""
        return self._child.pid if self._child is not None else None

    @property
    def lives(self) -> bool:
        """Whether it has been heard of; one that has gone is noticed when it is listened to."""
        return self._channel is not None

    @property
    def channel(self) -> socket.socket | None:
        """What it is listened to by, while it lives."""
        return self._channel

    def begin(self, job: Path, env: dict[str, str], cwd: str = "") -> bool:
        """Have it start a job; false where it has gone. `cwd`: it may run on a kernel that waits in this folder."""
        return self._say({"job": str(job), "env": env, "cwd": cwd})

    def ahead(self, number: int, cwd: str) -> None:
        """Have that many kernels wait in a folder."""
        self._say({"ahead": number, "cwd": cwd})

    def _say(self, message: dict[str, Any]) -> bool:
        if self._channel is not None:
            with contextlib.suppress(OSError):
                self._channel.sendall(json.dumps(message).encode() + b"\n")
                return True
            self._lose()
        return False

    def listen(self, timeout: float = 0.0) -> list[dict[str, Any]]:
        """What it has said since the last time; waits up to `timeout` seconds for the first of it."""
        found: list[dict[str, Any]] = []
        while self._channel is not None and readable([self._channel], timeout):
            try:
                data = self._channel.recv(65536)
            except OSError:
                data = b""
            if not data:
                self._lose()
                break
            *lines, self._partial = (self._partial + data).split(b"\n")
            said = [json.loads(line) for line in lines]
            found += [message for message in said if "ready" not in message]
            timeout = 0.0
        self.spoke = self.spoke or bool(found)
        return found

    def close(self) -> None:
        """It ends when it hears nothing more, and with it what its jobs have started."""
        if not self.spoke and self._child is not None:
            # It may be importing for a long time, and has started nothing.
            self._child.kill()
        if self._channel is not None and self.spoke:
            with contextlib.suppress(OSError):
                self._channel.shutdown(socket.SHUT_WR)
                self._channel.settimeout(_END)
                while self._channel.recv(65536):
                    pass
        self._lose()
        if self._child is not None:
            try:
                self._child.wait(timeout=_END)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            self._child = None

    def _lose(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._channel = None
