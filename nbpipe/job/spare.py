"""A runner with its kernel, started ahead of a job: what runs begins at once.

The fork server starts it and writes the job to its socket once there is one; it writes a dot when it is ready. Until then the
kernel has run nothing but its own start, in the folder that the job will have. What the job brings is given to it when it begins:
variables, the file for what it prints. It ends by itself when the socket does.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbpipe.job.launch import can_fork, start_kernel
from nbpipe.job.shelf import SHELF

if TYPE_CHECKING:
    from nbpipe.job.engine import Connection

_LOG = "kernel.log"
_TOUCH = "__import__('nbpipe.job.kernel', fromlist=['touch']).touch({!r})"


@dataclass(frozen=True)
class Spare:
    """Seen from the fork server."""

    pid: int
    cwd: str
    channel: socket.socket

    def give(self, asked: dict[str, Any]) -> bool:
        """Hand it its job; false where it has gone."""
        with contextlib.suppress(OSError):
            self.channel.sendall(json.dumps(asked).encode())
            self.channel.shutdown(socket.SHUT_WR)
            return True
        return False


@dataclass
class Ahead:
    """Seen from its own process: the kernel, which answers."""

    connection: Connection
    cwd: str
    #: The job's variables that its runner has too.
    env: dict[str, str]

    def become(self, env: dict[str, str], log: Path) -> Connection | None:
        """The kernel, for a job with these variables that prints to `log`; None where a new one has to be started."""
        gone = self.connection.process.poll() is not None
        if gone or not self.connection.ready() or not SHELF.fits(self.cwd, env):
            self.connection.close(patience=0)
            return None
        given = f"{self.env | env!r}, {self.cwd!r}, {str(log)!r}, {str(self.connection.folder / _LOG)!r}"
        self.connection.first = f"__import__('nbpipe.job.spare', fromlist=['take']).take({given}); "
        return self.connection


def plain(cwd: str) -> bool:
    """Whether a kernel can be forked, and its start runs no code of the user's, which would have to wait for earlier stages."""
    from IPython.core.application import ENV_CONFIG_DIRS, SYSTEM_CONFIG_DIRS
    from IPython.paths import get_ipython_dir

    if os.environ.get("PYTHONSTARTUP") or not can_fork() or not SHELF.fits(cwd, {}):
        return False
    profile = Path(get_ipython_dir()) / "profile_default"
    folders = [profile, *map(Path, (*SYSTEM_CONFIG_DIRS, *ENV_CONFIG_DIRS))]
    found = [path for folder in folders for path in folder.glob("*config*")]
    return not found and not [path for path in (profile / "startup").glob("*") if path.suffix in {".py", ".ipy"}]


def wait(channel: socket.socket, cwd: str) -> tuple[dict[str, Any], Ahead | None] | None:
    """Start the kernel, then wait: the job, with the kernel if one could be started; None if there will be no job."""
    from nbpipe.job.engine import Connection, connection_file

    # Who has ended closes the socket, and that is heard here: a signal, too, would come between and leave files behind.
    told = list[int]()
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    ahead, said = None, b""
    # A kernel that cannot be started now is started for the job, which says why if that fails.
    with contextlib.suppress(Exception):
        if plain(cwd):
            path, scratch = connection_file()
            try:
                process = start_kernel(path, kernel="", cwd=Path(cwd), env={}, log=scratch / _LOG, fork=True)
            except BaseException:
                shutil.rmtree(scratch, ignore_errors=True)
                raise
            ahead = Ahead(Connection(process, path, scratch), cwd, {})
            ahead.connection.open()
            if ahead.connection.ready():
                ahead.connection.client.execute(
                    _TOUCH.format(str(Path(cwd).resolve())), silent=True, store_history=False, allow_stdin=False
                )
    with contextlib.suppress(OSError):
        channel.sendall(b".")
    try:
        while data := channel.recv(65536):
            said += data
    except OSError:
        # Who started it has ended, and had not read the dot.
        said = b""
    channel.close()
    if not said or told:
        if ahead is not None:
            ahead.connection.close(patience=0)
        return None
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    asked = json.loads(said)
    if ahead is not None:
        ahead.env = asked["env"]
    return asked, ahead


def take(env: dict[str, str], cwd: str, log: str, old: str) -> None:
    """In the kernel: what a job brings. What was printed to `old` goes to `log`, as all that follows."""
    os.environ.update(env)
    os.chdir(cwd)
    # Modules that earlier stages have written since.
    importlib.invalidate_caches()
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(out, Path(old).read_bytes())
    before = Path(old).stat()
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(int(name)), before):
                os.dup2(out, int(name), inheritable=os.get_inheritable(int(name)))
    os.close(out)
