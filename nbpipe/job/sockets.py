"""Where sockets lie. Warm parents listen in a folder that is its user's alone, each named after what it has from its start.

Imports little: a command looks here before it imports anything else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys

#: Variables that no module reads which a parent imports, and that differ from one terminal, test or run to the next.
_OTHER = {"_", "PWD", "OLDPWD", "SHLVL", "COLUMNS", "LINES", "WINDOWID"}
_OTHER |= {"XDG_SESSION_ID", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "INVOCATION_ID", "JOURNAL_STREAM"}
_OTHERS = ("NBPIPE_", "MLFLOW_", "PYTEST_", "JPY_", "SSH_", "TERM_", "TMUX", "VTE_", "GPG_", "DBUS_", "VSCODE_")
_LENGTH = 12
#: Our own folders and names in them are no longer than the rest of 103 bytes.
_LONGEST = 55
_PLAIN = re.compile(r"[A-Za-z0-9/_.-]+")


def folder() -> str | None:
    """The folder with the sockets; None where there is none that is this user's alone."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    usual = fit(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108
    place = f"{runtime}/nbpipe" if runtime else f"{usual}/nbpipe-{os.getuid()}"
    try:
        if not os.path.isdir(place):  # noqa: PTH112
            os.mkdir(place, mode=0o700)  # noqa: PTH102
        found = os.lstat(place)
    except OSError:
        return None
    private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == stat.S_IRWXU
    return place if private and found.st_uid == os.getuid() else None


def fit(place: str) -> str:
    """The folder for temporary files, where a socket can lie below it; else one that every system has.

    Some take no more than 103 bytes of path, and ssh gives spaces, quotes and `%` meanings.
    """
    return place if len(place) <= _LONGEST and _PLAIN.fullmatch(place) else "/tmp"  # noqa: S108


def name(keep: float, libraries: tuple[str, ...] = ()) -> str:
    """Name of the socket of a parent that has all that this process has from its start, kept as long, with these modules."""
    return f"{process()}{_hash([keep, sorted({module.partition('.')[0] for module in libraries})])}.sock"


def process() -> str:
    """All that this process has from its start: interpreter, environment, limits, groups, control group, namespaces."""
    import resource

    limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
    spaces = [_link(f"/proc/self/ns/{name}") for name in ("mnt", "net", "pid", "user", "ipc", "uts")]
    return _hash(
        [
            [sys.executable, sys.version, sys.prefix, __file__, sorted(kept().items())],
            [os.getuid(), os.getgid(), sorted(os.getgroups())],
            [limits, spaces, sorted(os.sched_getaffinity(0)), os.nice(0), _umask(), _group()],
        ]
    )


def kept() -> dict[str, str]:
    """The environment that a parent is started with, in a folder of its own."""
    found = {name: text for name, text in os.environ.items() if name not in _OTHER and not name.startswith(_OTHERS)}
    if "PYTHONPATH" in found:
        parts = found["PYTHONPATH"].split(os.pathsep)
        found["PYTHONPATH"] = os.pathsep.join(os.path.abspath(part) for part in parts if part)  # noqa: PTH100
    return found


def _hash(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:_LENGTH]


def _group() -> str:
    """The control group; one login is as good as another of the same user, and has a group of its own."""
    return re.sub(r"/session-[^/\n]*\.scope$", "/session.scope", _text("/proc/self/cgroup"), flags=re.MULTILINE)


def _umask() -> str:
    return next((line for line in _text("/proc/self/status").splitlines() if line.startswith("Umask")), "")


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - it points at no path
    except OSError:
        return ""
