"""What `nbpipe doctor` looks at: each check is small, says what it found, and what to do where that is not good."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from nbpipe.errors import EXIT_CODES, NbpipeError
from nbpipe.run.project import Project

_PACKAGES = ("papermill", "nbclient", "nbformat", "ipykernel", "mlflow", "pyarrow", "click", "msgspec")
_LITTLE_SPACE = 2_000_000_000
#: The smallest of runs does not fit.
_NO_SPACE = 1_000_000
_SECONDS = 3.0
_LONGEST = 300
_OLDEST = (3, 10)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check. `exit_code` is what the command ends with if it failed."""

    name: str
    status: Literal["ok", "warning", "failed"]
    detail: str
    fix: str = ""
    exit_code: int = 0


def examine(project: Project) -> Iterator[Finding]:
    """Every check in turn. A check that breaks is a finding too."""
    checks: tuple[tuple[str, Callable[[Project], Finding]], ...] = (
        ("python", _python),
        ("packages", _packages),
        ("kernel", _kernel),
        ("fork server", _fork_server),
        ("key", _key),
        ("store", _store),
        ("disk", _disk),
        ("mlflow", _mlflow),
        ("outbox", _outbox),
        ("runs", _runs),
    )
    for name, check in checks:
        try:
            yield check(project)
        except NbpipeError as error:
            yield _failed(name, error.message, error.fix or "", error.exit_code)
        except OSError as error:
            yield _failed(name, error.strerror or str(error), "", EXIT_CODES["user"])


def _failed(name: str, detail: str, fix: str, exit_code: int) -> Finding:
    return Finding(name=name, status="failed", detail=detail, fix=fix, exit_code=exit_code)


def _python(_: Project) -> Finding:
    import platform

    from nbpipe import __version__

    detail = f"nbpipe {__version__}, Python {platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] < _OLDEST:
        return _failed("python", detail, "Use Python 3.10 or newer.", EXIT_CODES["usage"])
    return Finding(name="python", status="ok", detail=detail)


def _packages(_: Project) -> Finding:
    from importlib.metadata import PackageNotFoundError, version

    found: list[str] = []
    missing: list[str] = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        fix = f"pip install {' '.join(missing)}"
        return _failed("packages", f"missing: {', '.join(missing)}", fix, EXIT_CODES["usage"])
    return Finding(name="packages", status="ok", detail=", ".join(found))


def _kernel(_: Project) -> Finding:
    """A real kernel answers. It takes a second, and is what every run stands on."""
    import subprocess

    code = (
        "from jupyter_client.manager import start_new_kernel\n"
        "manager, client = start_new_kernel(startup_timeout=30)\n"
        "reply = client.execute_interactive('6 * 7', timeout=30, output_hook=lambda _: None)\n"
        "client.stop_channels(); manager.shutdown_kernel(now=True)\n"
        "assert reply['content']['status'] == 'ok', reply\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        return _failed("kernel", "no answer within 60 s", "Look for a process that takes all CPU.", EXIT_CODES["lost"])
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return _failed("kernel", said, "python -m ipykernel install --sys-prefix", EXIT_CODES["lost"])
    return Finding(name="kernel", status="ok", detail="python3 starts and answers")


def _fork_server(project: Project) -> Finding:
    if sys.platform != "linux":
        return Finding(
            name="fork server", status="ok", detail=f"not used on {sys.platform}: every stage starts a process"
        )
    if os.environ.get("NBPIPE_FORK") == "0":
        detail = "switched off by NBPIPE_FORK=0: every stage starts slowly"
        return Finding(name="fork server", status="warning", detail=detail, fix="unset NBPIPE_FORK")
    from nbpipe.executors import warm
    from nbpipe.run.warmth import keep_warm

    keep = keep_warm(project)
    kept = f"kept for {keep:g} s after a run" if keep else "not kept after a run that is started as this command is"
    waiting = [f"process {pid}, {size / 2**20:.0f} MiB" for pid, size in warm.parents()]
    detail = f"can be used: kernels start from a warm process, {kept}"
    return Finding(
        name="fork server", status="ok", detail="; waiting: ".join([detail, *([", ".join(waiting)] * bool(waiting))])
    )


def _key(_: Project) -> Finding:
    from nbpipe.store.trust import default_signer

    default_signer()
    shared = "the team's, from NBPIPE_STORE_KEY" if os.environ.get("NBPIPE_STORE_KEY") else "yours alone"
    return Finding(name="key", status="ok", detail=f"results are signed with a key: {shared}")


def _store(project: Project) -> Finding:
    """Written to and read from, with a document of its own name."""
    from nbpipe.store import open_store

    place = project.store
    shown = _without_password(place)
    if "://" not in place and not Path(place).exists():
        there = next(folder for folder in Path(place).absolute().parents if folder.exists())
        if not os.access(there, os.W_OK):
            fix = "Make it writable for yourself, or copy the project to a folder that you may write to."
            return _failed("store", f"{shown} cannot be made: {there} cannot be written", fix, EXIT_CODES["store"])
        return Finding(name="store", status="ok", detail=f"{shown} will be made by the first run")
    store = open_store(place)
    name = f"doctor/{os.getpid()}.json"
    store.documents.write(name, b"{}")
    same = store.documents.read(name) == b"{}"
    store.documents.delete(name)
    if not same:
        return _failed("store", f"{shown} does not give back what was written", "", EXIT_CODES["store"])
    return Finding(name="store", status="ok", detail=f"{shown} can be written and read (every byte: nbpipe fsck)")


def _disk(project: Project) -> Finding:
    import shutil

    from nbpipe.cli.text import size

    free = shutil.disk_usage(project.root).free
    detail = f"{size(free)} free at {project.root}"
    if free < _NO_SPACE:
        return _failed("disk", detail, "Free space there, or run `nbpipe gc`.", EXIT_CODES["store"])
    if free < _LITTLE_SPACE:
        return Finding(name="disk", status="warning", detail=detail, fix="nbpipe gc --older-than 30d")
    return Finding(name="disk", status="ok", detail=detail)


def _mlflow(project: Project) -> Finding:
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if os.environ.get("NBPIPE_TRACKING") == "off":
        return Finding(name="mlflow", status="ok", detail="switched off by NBPIPE_TRACKING=off")
    if not uri.startswith(("http://", "https://")):
        place = uri or project.state / "mlflow.db"
        return Finding(name="mlflow", status="ok", detail=f"local: {_without_password(str(place))}")
    problem = _unreachable(uri.rstrip("/") + "/health")
    shown = _without_password(uri)
    if problem:
        detail = f"{shown} does not answer: {problem}; runs go on, and are delivered later"
        return Finding(name="mlflow", status="warning", detail=detail, fix="Check MLFLOW_TRACKING_URI and the server.")
    return Finding(name="mlflow", status="ok", detail=f"{shown} answers")


def _unreachable(url: str) -> str:
    """Why nothing answers at `url`; empty when something does, whatever it says."""
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=_SECONDS):  # noqa: S310 - http or https, see the caller
            return ""
    except urllib.error.HTTPError:
        return ""
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def _outbox(project: Project) -> Finding:
    from nbpipe.cli.text import count
    from nbpipe.tracking.outbox import pending, why_not

    waiting = len(pending(project.root))
    if waiting:
        why = why_not(project.root)
        detail = f"{count(waiting, 'run')} not yet delivered to MLflow{': ' * bool(why)}{why[:_LONGEST]}"
        return Finding(
            name="outbox",
            status="warning",
            detail=detail,
            fix="nbpipe history tries again; see .nbpipe/outbox/deliver.log.",
        )
    return Finding(name="outbox", status="ok", detail="everything is delivered to MLflow")


def _runs(project: Project) -> Finding:
    from nbpipe.cli.text import count
    from nbpipe.history.query import runs

    found = runs(project)
    live = [item.run for item in found if item.status == "running"]
    going = f"; running: {', '.join(live)}" if live else ""
    return Finding(name="runs", status="ok", detail=f"{count(len(found), 'run')} in {project.root}{going}")


def _without_password(uri: str) -> str:
    """The address without what stands before the @, which may be a secret."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
