"""What the other machine is and has."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from typing import Any

_PACKAGED = (".dist-info", ".egg-info", ".egg-link", ".pth")
_QUERY = "index,name,memory.total,memory.free,driver_version"


def devices(configured: float | None) -> list[str]:
    """Names of the GPUs that jobs may have: as many as configured, else those that nvidia-smi shows to this user."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = [name for name in visible.split(",") if name] if visible else [gpu["index"] for gpu in gpus()]
    if configured is None:
        return found
    return found[: int(configured)] if found else [str(number) for number in range(int(configured))]


def gpus() -> list[dict[str, str]]:
    """The GPUs as nvidia-smi tells them; none where it is not there, or has no driver to ask."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, "--query-gpu=" + _QUERY, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = (
        [line.split(", ") for line in done.stdout.decode("utf-8", "replace").splitlines()]
        if not done.returncode
        else []
    )
    return [dict(zip(_QUERY.split(","), row)) for row in rows if len(row) == len(_QUERY.split(","))]


def installed(names: list[str]) -> dict[str, str]:
    """Version of each distribution; "" for one that is not installed."""
    from importlib import metadata

    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = ""
    return found


def stamp() -> str:
    """Another text whenever a package was installed, replaced or removed for this interpreter: their folders say so."""
    seen = hashlib.sha256()
    for place in sys.path:
        try:
            with os.scandir(place) as entries:
                found = sorted(
                    (item.name, item.stat().st_mtime_ns) for item in entries if item.name.endswith(_PACKAGED)
                )
        except OSError:
            continue
        seen.update(repr((place, found)).encode())
    return seen.hexdigest()


def share(python: str, store: str, digest: str, environment: dict[str, str], seconds: float) -> dict[str, Any]:
    """Have nbpipe take an object from a shared store and leave one; its hash, or with another `code` why not."""
    given = dict(os.environ)
    given.update(environment)
    try:
        done = subprocess.run(
            [python, "-m", "nbpipe.store.shared", store, digest],
            env=given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"code": 1, "said": str(error)}
    said = (done.stderr if done.returncode else done.stdout).decode("utf-8", "replace").strip().splitlines()
    return {"code": done.returncode, "said": said[-1] if said else ""}


def facts(root: str, distributions: list[str], gpus_configured: float | None) -> dict[str, Any]:
    """All that a run has to know before it begins. Memory and disk are bytes."""
    before = stamp()
    disk = shutil.disk_usage(root)
    return {
        "host": platform.node(),
        "system": platform.system(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "disk": disk.free,
        "rsync": shutil.which("rsync") or "",
        "gpus": gpus(),
        "devices": devices(gpus_configured),
        "packages": installed(distributions),
        "stamp": before,
    }
