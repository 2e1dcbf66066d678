"""Runs and trials not yet delivered to MLflow: one small file each, named by the run or trial."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import msgspec

LOG = "deliver.log"
#: Written when a delivery has failed, gone when nothing is left to deliver.
FAILED = "failed"
#: What MLflow takes for a place that is no path.
_NO_PATHS = ("databricks", "databricks-uc", "uc")
_SQLITE = "sqlite:///"
_DATED = re.compile(r"\d{4}-\d\d-\d\dT\S+ ")


def enqueue(run_dir: Path) -> Path:
    """Note durably that `run_dir` (`.nbpipe/runs/rN`) is to be delivered; doing it again changes nothing."""
    box = run_dir.resolve().parents[1] / "outbox"
    box.mkdir(parents=True, exist_ok=True)
    path = box / f"{run_dir.name}.json"
    scratch = box / f".{run_dir.name}.{os.getpid()}"
    with scratch.open("wb") as out:
        out.write(msgspec.json.encode({"schema": 1, "run": run_dir.name}))
        out.flush()
        os.fsync(out.fileno())
    scratch.replace(path)
    folder = os.open(box, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path


def enqueue_trial(state: Path, trial: str) -> None:
    """Note that a trial (`t12` of the project whose `.nbpipe` is `state`) is to be delivered. Its own file is the truth."""
    box = state / "outbox"
    box.mkdir(parents=True, exist_ok=True)
    scratch = box / f".{trial}.{os.getpid()}"
    scratch.write_bytes(msgspec.json.encode({"schema": 1, "trial": trial}))
    scratch.replace(box / f"{trial}.json")


def note(run_dir: Path) -> None:
    """Note a run that has ended; while tracking is off it is never delivered."""
    if not is_off():
        enqueue(run_dir)


def pending(project: Path) -> list[Path]:
    """Folders of the runs still to be delivered, r2 before r10; then the files of trials."""
    state = project / ".nbpipe"
    runs = [state / "runs" / path.stem for path in _notes(state, "r")]
    return runs + [state / "trials" / path.name for path in _notes(state, "t")]


def overdue(project: Path) -> list[Path]:
    """Those of them whose delivery has failed, or had to wait for one that failed. Reads no more than times of files."""
    waiting = pending(project)
    try:
        failed = (project / ".nbpipe" / "outbox" / FAILED).stat().st_mtime
    except OSError:
        return []
    found = []
    for each in waiting:
        try:
            noted = note_of(each).stat().st_mtime
        except OSError:  # delivered meanwhile
            continue
        if failed >= noted:
            found.append(each)
    return found


def _notes(state: Path, kind: str) -> list[Path]:
    found = (state / "outbox").glob(f"{kind}[1-9]*.json")
    return sorted(found, key=lambda path: (len(path.stem), path.stem))


def note_of(waiting: Path) -> Path:
    """The file that says the run or trial is pending."""
    return waiting.parents[1] / "outbox" / f"{waiting.stem}.json"


def is_trial(waiting: Path) -> bool:
    """Whether what is pending is a trial's file, and no run's folder."""
    return waiting.parent.name == "trials"


def is_off() -> bool:
    """`NBPIPE_TRACKING=off`: nothing is noted or delivered; what was noted before stays until it is on again."""
    return os.environ.get("NBPIPE_TRACKING", "").lower() == "off"


def flush(project: Path, *, wait: bool = False) -> None:
    """Deliver what is pending, in a process of its own that outlives this one; `wait` for its end.

    Never raises for a server that is slow or down: what could not be delivered stays pending, and
    `.nbpipe/outbox/deliver.log` says why.
    """
    if is_off() or not pending(project):
        return
    import subprocess
    import threading

    log = project / ".nbpipe" / "outbox" / LOG
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "nbpipe.tracking.deliver", str(project.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            # `-m` puts the working directory on the path: not the project, whose modules may hide a library's.
            cwd=log.parent,
            env={**os.environ, **places_from_here()},
        )
    if wait:
        process.wait()
    else:
        # It outlives this process; while this one lives, a thread takes its end so that no zombie stays.
        threading.Thread(target=process.wait, daemon=True).start()


def why_not(project: Path) -> str:
    """Why the last delivery failed, as its log says it in one line; "" where it did not."""
    box = project / ".nbpipe" / "outbox"
    try:
        (box / FAILED).stat()
        lines = (box / LOG).read_text(errors="replace").splitlines()
    except OSError:
        return ""
    dated = [line.partition(" ")[2] for line in lines if _DATED.match(line)]
    return dated[-1] if dated else ""


def places_from_here() -> dict[str, str]:
    """What names MLflow's places by paths from here, as seen from anywhere: whoever delivers stands in another folder."""
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    return {name: _absolute(uri) for name in names if (uri := os.environ.get(name))}


def _absolute(uri: str) -> str:
    if uri.startswith(_SQLITE):
        path = uri.removeprefix(_SQLITE)
        return f"{_SQLITE}{Path.cwd() / path}" if path and not path.startswith(("/", ":")) else uri
    path = uri.removeprefix("file:")
    if path.startswith("/") or ":" in path or path in _NO_PATHS:
        return uri
    return (Path.cwd() / path).as_uri()
