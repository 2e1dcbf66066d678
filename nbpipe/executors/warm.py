"""The way to the warm parent that has what this process has from its start: found, or else started.

That is the interpreter, the environment but for `_OTHER`, limits, control group, namespaces. What a parent has imported
it compares itself (`nbpipe.job.parent`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nbpipe.job.launch import HASH_SEED

#: How many are kept; those that were not used for longest end.
_MOST = 4
#: Seconds for a parent to answer; one that somebody else has just started is still importing libraries.
_PATIENCE = 60.0
#: Variables that no module reads which a parent imports, and that differ from one terminal, test or run to the next.
_OTHER = {"_", "PWD", "OLDPWD", "SHLVL", "COLUMNS", "LINES", "WINDOWID"}
_OTHER |= {"XDG_SESSION_ID", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "INVOCATION_ID", "JOURNAL_STREAM"}
_OTHERS = ("NBPIPE_", "MLFLOW_", "PYTEST_", "JPY_", "SSH_", "TERM_", "TMUX", "VTE_", "GPG_", "DBUS_", "VSCODE_")
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


def connect(keep: float, libraries: Sequence[str] = ()) -> socket.socket | None:
    """A channel to a fork server that a warm parent made for this process; None where there can be none.

    The parent has imported the modules `libraries`, or others of the same libraries, and keeps them from the jobs until
    their code imports them.
    """
    folder = _folder()
    if folder is None:
        return None
    place = folder / f"{identity(keep, libraries)}.sock"
    try:
        return _enter(place) or _start(place, keep, libraries)
    except (OSError, subprocess.SubprocessError):
        return None


def parents() -> list[tuple[int, int]]:
    """Process id and bytes of memory of each parent that answers."""
    folder = _folder()
    found = []
    for place in sorted(folder.glob("*.sock")) if folder is not None else []:
        with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(1.0)
            channel.connect(str(place))
            channel.sendall(b"{}\n")
            pid = json.loads(_line(channel))["parent"]
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            found.append((pid, pages * os.sysconf("SC_PAGE_SIZE")))
    return found


def _folder() -> Path | None:
    """Where sockets lie: a folder that is this user's alone."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "nbpipe" if runtime else Path(tempfile.gettempdir()) / f"nbpipe-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == stat.S_IRWXU
    return folder if private and found.st_uid == os.getuid() else None


def identity(keep: float, libraries: Sequence[str] = ()) -> str:
    """All that this process has from its start, as one name. A parent has the same, and is kept as long."""
    limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
    spaces = [_link(f"/proc/self/ns/{name}") for name in ("mnt", "net", "pid", "user", "ipc", "uts")]
    facts = [
        [sys.executable, sys.version, sys.prefix, __file__],
        [sorted(_kept().items()), keep, sorted({name.partition(".")[0] for name in libraries})],
        [os.getuid(), os.getgid(), sorted(os.getgroups())],
        [limits, spaces, sorted(os.sched_getaffinity(0)), os.nice(0), _umask(), _text("/proc/self/cgroup")],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:20]


def _kept() -> dict[str, str]:
    """The environment that a parent is started with, in a folder of its own."""
    kept = {name: text for name, text in os.environ.items() if name not in _OTHER and not name.startswith(_OTHERS)}
    if "PYTHONPATH" in kept:
        parts = kept["PYTHONPATH"].split(os.pathsep)
        kept["PYTHONPATH"] = os.pathsep.join(str(Path(part).absolute()) for part in parts if part)
    return kept


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
            env={**HASH_SEED, **_kept()},
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


def _umask() -> str:
    return next((line for line in _text("/proc/self/status").splitlines() if line.startswith("Umask")), "")


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - it points at no path
    except OSError:
        return ""
