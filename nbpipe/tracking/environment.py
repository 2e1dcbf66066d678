"""Where and with what a run was made, so that it can be traced and repeated. No environment variable is recorded."""

from __future__ import annotations

import contextlib
import getpass
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SECONDS = 2.0
_DIFF_LIMIT = 1_000_000


def record(project: Path, distributions: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Facts about this machine, this Python and the project's git checkout; keys of what is not there are left out.

    `distributions` are the packages to name (name -> version); all installed ones when None. Git and
    `nvidia-smi` get two seconds together; whatever is late is left out.
    """
    head = _start("git", "-C", str(project), "rev-parse", "HEAD", "--abbrev-ref", "HEAD")
    # No external diff or text conversion: a repository's own configuration must not start programs here.
    diff = _start(
        "git",
        "-C",
        str(project),
        "-c",
        "core.fsmonitor=false",
        "diff",
        "--no-ext-diff",
        "--no-textconv",
        "HEAD",
        "--",
        ".",
    )
    gpus = _start("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    found: dict[str, Any] = {
        "schema": 1,
        "time": time.time(),
        "user": user(),
        "host": socket.gethostname(),
        "os": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
        "packages": dict(sorted((_installed() if distributions is None else dict(distributions)).items())),
    }
    if container := _container():
        found["container"] = container
    deadline = time.monotonic() + _SECONDS
    if git := _git(_result(head, deadline), _result(diff, deadline)):
        found["git"] = git
    if rows := _result(gpus, deadline):
        found["gpus"] = [
            dict(zip(("name", "driver", "memory"), (part.strip() for part in row.split(",")), strict=False))
            for row in rows.splitlines()
            if row.strip()
        ]
        found |= _cuda()
    return found


def _cuda() -> dict[str, str]:
    """CUDA and cuDNN as installed from packages; nothing where they are the system's."""
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str] = {}
    for name, package in (("cuda", "nvidia-cuda-runtime"), ("cudnn", "nvidia-cudnn")):
        for suffix in ("", "-cu13", "-cu12"):
            with contextlib.suppress(PackageNotFoundError):
                found.setdefault(name, version(package + suffix))
    return found


def _git(head: str | None, diff: str | None) -> dict[str, Any]:
    if not head or len(lines := head.split()) < 2:  # noqa: PLR2004  commit and branch
        return {}
    found: dict[str, Any] = {"commit": lines[0]}
    if lines[1] != "HEAD":
        found["branch"] = lines[1]
    if diff is None:
        return found
    found["dirty"] = bool(diff)
    if diff:
        found["diff"] = diff[:_DIFF_LIMIT]
        found["diff_cut"] = len(diff) > _DIFF_LIMIT
    return found


def _start(*command: str) -> subprocess.Popen[bytes] | None:
    """The program, running beside the others; None where it is not installed."""
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )
    except OSError:
        return None


def _result(process: subprocess.Popen[bytes] | None, deadline: float) -> str | None:
    """What it printed; None if it failed or was late."""
    if process is None:
        return None
    try:
        out, _ = process.communicate(timeout=max(deadline - time.monotonic(), 0.01))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    return out.decode("utf-8", "replace") if process.returncode == 0 else None


def _installed() -> dict[str, str]:
    from importlib.metadata import distributions

    return {dist.metadata["Name"]: dist.version for dist in distributions() if dist.metadata["Name"]}


def user() -> str:
    """Who runs this process, as the machine knows them; "" where it does not."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number that has no name
        return str(os.getuid()) if hasattr(os, "getuid") else ""


def _container() -> str:
    """Kind of container this process is in, as far as its files tell; "" for none."""
    if Path("/run/.containerenv").exists():
        return "podman"
    if Path("/.dockerenv").exists():
        return "docker"
    if Path("/var/run/secrets/kubernetes.io").exists():
        return "kubernetes"
    return ""
