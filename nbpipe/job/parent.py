"""The warm parent: a process that has imported everything, outlives a run, and forks a fork server for each next one.

It listens on a Unix socket of its own user. Who connects sends one JSON line, `{"env": {…}, "cwd": DIR}`; a child with
that environment and folder answers `{"ready": PID}` and is from then on what `nbpipe.job.server` is, until that
connection ends. Who sends `{}` is answered `{"parent": PID}`, and that is all. Who sends `{"argv": […], "env": {…}, "cwd": DIR}`
with three open files has a command line answered (`nbpipe.cli.answer`).

A child that finds that a file has changed from which this process imported something says nothing and ends: the parent
is then of no use to anybody, and ends with the last of its children, as it does when nobody came for `keep` seconds and
when its socket is gone. It is single-threaded and imports without using, so that fork is safe.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import site
import socket
import sys
import time
from pathlib import Path

from nbpipe.job.loading import Stamp, stamp
from nbpipe.job.readable import readable
from nbpipe.job.server import Server, preload
from nbpipe.job.shelf import SHELF

_LOOK = 5.0
#: What a child ends with that found this process out of date.
_STALE = 3
_HELLO = 10.0
_LONGEST = 4 << 20
_ANSWERS = "nbpipe.cli.answer"

Stamps = dict[str, Stamp]


class Parent:
    """Forks a child for each connection. Must not start a thread, a ZeroMQ context or an event loop."""

    def __init__(self, listener: socket.socket, place: str, inode: int, keep: float) -> None:
        self._listener = listener
        self._place = place
        self._inode = inode
        self._keep = keep
        self._stamps = stamps()
        self._children: set[int] = set()

    def serve(self) -> None:
        """Until nobody needs it."""
        read, write = os.pipe()
        for end in (read, write):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        used = time.monotonic()
        while True:
            ready = readable([self._listener, read], min(_LOOK, self._keep))
            if read in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(read, 4096)
            self._reap()
            if self._listener.fileno() in ready:
                connection, _ = self._listener.accept()
                self._fork(connection, (read, write))
                connection.close()
            if self._children:
                used = time.monotonic()
            elif time.monotonic() - used > self._keep or _inode(self._place) != self._inode:
                break
        self._leave()

    def _fork(self, connection: socket.socket, pipes: tuple[int, int]) -> None:
        own = os.getpid()
        pid = os.fork()
        if pid:
            self._children.add(pid)
            return
        code = 1
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._listener.close()
            for end in pipes:
                os.close(end)
            code = _serve(connection, self._stamps, own)
        finally:
            os._exit(code)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._children.discard(pid)
            if os.waitstatus_to_exitcode(status) == _STALE:
                self._leave()

    def _leave(self) -> None:
        """Nobody shall find it again. Another's socket in this place stays."""
        if _inode(self._place) == self._inode:
            Path(self._place).unlink(missing_ok=True)


def _serve(connection: socket.socket, known: Stamps, parent: int) -> int:
    """Be the fork server of whoever has connected; the exit code."""
    connection.settimeout(_HELLO)
    said = b""
    while b"\n" not in said:
        data = connection.recv(65536)
        if not data or len(said) > _LONGEST:
            return 0
        said += data
    hello, _, rest = said.partition(b"\n")
    asked = json.loads(hello)
    if not asked:
        connection.sendall(json.dumps({"parent": parent}).encode() + b"\n")
        return 0
    if stamps(known) != known:
        return _STALE
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    os.chdir(asked["cwd"])
    importlib.invalidate_caches()
    connection.settimeout(None)
    if "argv" in asked:
        # The command line stands above the jobs: it is there by its name only.
        code: int = importlib.import_module(_ANSWERS).answer(connection, asked["argv"])
        return code
    connection.sendall(json.dumps({"ready": os.getpid()}).encode() + b"\n")
    Server(connection, rest).serve()
    return 0


def stamps(known: Stamps | None = None) -> Stamps:
    """File -> when it changed, size and inode: of every file that a module here comes from, and of folders of packages.

    With `known`, of the files that it has. A file that is gone has zeros.
    """
    if known is None:
        files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        folders = [*site.getsitepackages(), site.getusersitepackages(), sys.executable, f"{sys.prefix}/pyvenv.cfg"]
        names = [file for file in files if isinstance(file, str)] + folders
        # What was put away is known from before it was executed.
        return {**{file: stamp(file) for file in names}, **SHELF.stamps()}
    return {file: stamp(file) for file in known}


def _inode(place: str) -> int | None:
    try:
        return Path(place).stat().st_ino
    except OSError:
        return None


def main() -> None:
    """The arguments: descriptor of the socket to listen on, its path, its inode, for how long to keep this process, modules."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listener = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(listener.fileno(), False)  # noqa: FBT003 - its only form
    if not preload(sys.argv[5:]):
        Path(sys.argv[2]).unlink(missing_ok=True)
        return
    Parent(listener, sys.argv[2], int(sys.argv[3]), float(sys.argv[4])).serve()
