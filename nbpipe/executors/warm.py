"""The way to the warm parent that has what this process has from its start: found, or else started.

What that is, and where it listens, stands in `nbpipe.job.sockets`. What a parent has imported it compares itself
(`nbpipe.job.parent`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from nbpipe.job import sockets
from nbpipe.job.launch import HASH_SEED

#: How many are kept; those that were not used for longest end.
_MOST = 4
#: Seconds for a parent to answer; one that somebody else has just started is still importing libraries.
_PATIENCE = 60.0
#: It is nobody's child, so nobody has to wait for it. Its path is that of any program: without the folder it started in.
_START = """
import os, sys
if os.fork():
    os._exit(0)
sys.path[:] = [*filter(None, sys.path), sys.argv.pop(1)]
from nbpipe.job.parent import main
sys.path.pop()
main()
"""


def connect(keep: float, libraries: Sequence[str] = (), *, ready: bool = False) -> socket.socket | None:
    """A channel to a fork server that a warm parent made for this process; None where there can be none.

    The parent has imported the modules `libraries`, or others of the same libraries, and keeps them from the jobs until
    their code imports them. One that has just been started is waited for where it has to be `ready`.
    """
    folder = sockets.folder()
    if folder is None:
        return None
    place = Path(folder) / sockets.name(keep, tuple(libraries))
    try:
        channel = _enter(place)
        if channel is None:
            channel = _start(place, keep, libraries)
            if ready and b"ready" not in _line(channel):
                channel.close()
                return None
        return channel
    except (OSError, subprocess.SubprocessError):
        return None


def parents() -> list[tuple[int, int]]:
    """Process id and bytes of memory of each parent that answers."""
    folder = sockets.folder()
    found = []
    for place in sorted(Path(folder).glob("*.sock")) if folder is not None else []:
        with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(1.0)
            channel.connect(str(place))
            channel.sendall(b"{}\n")
            pid = json.loads(_line(channel))["parent"]
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            found.append((pid, pages * os.sysconf("SC_PAGE_SIZE")))
    return found


def _enter(place: Path) -> socket.socket | None:
    """The parent that is there, if it is one and is not out of date; else nothing is left there."""
    channel = socket.socket(socket.AF_UNIX)
    try:
        seen = place.stat().st_ino
        channel.settimeout(_PATIENCE)
        channel.connect(str(place))
        if _user(channel) == os.getuid():
            _greet(channel)
            if b"ready" in _line(channel):
                channel.settimeout(None)
                os.utime(place)
                return channel
        if place.stat().st_ino == seen:
            place.unlink()
    except FileNotFoundError:
        pass
    except OSError:
        place.unlink(missing_ok=True)
    channel.close()
    return None


def _start(place: Path, keep: float, libraries: Sequence[str]) -> socket.socket:
    """Start a parent and connect to it; it answers once it has imported what it needs."""
    for old in sorted(place.parent.glob("*.sock"), key=_used)[: 1 - _MOST]:
        old.unlink(missing_ok=True)
    own = place.with_name(f"{os.getpid()}-{place.name}")
    root = str(Path(__file__).parents[2])
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(own))
        own.chmod(0o600)
        listener.listen(64)
        given = [listener.fileno(), place, own.stat().st_ino, keep, *libraries]
        own.replace(place)
        subprocess.run(
            [sys.executable, "-c", _START, root, *map(str, given)],
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=place.parent,
            env={**HASH_SEED, **sockets.kept()},
            check=True,
        )
    channel = socket.socket(socket.AF_UNIX)
    channel.connect(str(place))
    _greet(channel)
    return channel


def _greet(channel: socket.socket) -> None:
    said = {"env": {**HASH_SEED, **os.environ}, "cwd": str(Path.cwd())}
    channel.sendall(json.dumps(said).encode() + b"\n")


def _line(channel: socket.socket) -> bytes:
    """The first line, and nothing that comes after it; empty where there is none."""
    said = b""
    while not said.endswith(b"\n"):
        data = channel.recv(1)
        if not data:
            return b""
        said += data
    return said


def _user(channel: socket.socket) -> int:
    """Whose socket it is that this one is connected to."""
    _, user, _ = struct.unpack("3i", channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(user)


def _used(place: Path) -> float:
    try:
        return place.stat().st_mtime
    except OSError:
        return 0.0


def main() -> int:
    """Hand a channel over to whoever has started this process: the socket to send it through, for how long to keep the parent."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        # Whoever keeps a job is not to be disturbed; what it starts has to hear.
        signal.signal(number, signal.SIG_DFL)
    # It goes with the last login, long before those who come again.
    os.environ.pop("XDG_RUNTIME_DIR", None)
    channel = connect(float(sys.argv[2]), ready=True)
    if channel is None:
        return 1
    with socket.socket(fileno=int(sys.argv[1])) as asking:
        socket.send_fds(asking, [b"."], [channel.fileno()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
