"""Files of a job's folder, written so that a crash never leaves half of one."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec

from nbpipe.model import JobSpec, Outcome

SPEC = "job.json"
LOG = "log.jsonl"
NOTEBOOK = "executed.ipynb"
SENTINEL = "outcome.json"
VERDICT = "verdict.json"
FAILURE = "failure.json"
KERNEL_PID = "kernel.pid"
UNDO = "undo"
#: Paths of files that are whole only when the kernel has ended, a line of JSON each.
LATE = "late.jsonl"
#: There if the kernel has nothing left to do, and may be killed.
AT_REST = "at-rest"
#: Of a stage's process on a scheduler: a lock that it holds, and then the list of the files that hooks saw it write.
HELD = ".held"
ENDED = ".ended"
#: If it failed: what its code looked at; there if it started programs whose files nobody sees.
LOOKED = "looked.json"
UNSEEN = "unseen"
#: On another machine: what was sent for the job; what it found damaged or lacking.
SHIPMENT = "shipment.json"
NEEDS = "needs.json"
#: The same: what it took from, and left in, the store that it shares with the machine that sent it.
GIVEN = "given.json"
#: The kernel of a failed attempt waits here; what it shall go on with.
KEPT = "kept.json"
ORDER = "continue.json"


#: There if a job shall not be started any more.
WITHDRAWN = "withdrawn"


def withdraw(job: Path) -> None:
    """Nobody shall start this job who has not begun it yet."""
    (job / WITHDRAWN).touch()


def withdrawn(job: Path) -> bool:
    """Whether that was said."""
    return (job / WITHDRAWN).exists()


def rank_folder(job: Path, rank: int) -> Path:
    """What one of several processes of a job writes of itself."""
    return job / f"rank-{rank}"


def write_durably(path: Path, data: bytes) -> None:
    """Write beside, fsync, rename, fsync the folder: after a crash there is the old file or the new one.

    Raises OSError, and leaves nothing beside, if the disk refuses.
    """
    write_whole(path, data, durably=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_whole(path: Path, data: bytes, *, durably: bool = False) -> None:
    """Write beside, rename: nobody sees half of it. After a power cut it may be empty: for what only a living process reads.

    Raises OSError, and leaves nothing beside, if the disk refuses.
    """
    # Trials of a sweep are threads, and note things in the same project.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            if durably:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_spec(folder: Path) -> JobSpec:
    """The job's specification. Raises `msgspec.DecodeError` or `OSError`."""
    return msgspec.json.decode((folder / SPEC).read_bytes(), type=JobSpec)


def write_spec(folder: Path, spec: JobSpec) -> None:
    """Make the folder a job. Who takes back what it did, after a power cut too, reads its secrets there."""
    folder.mkdir(parents=True, exist_ok=True)
    write_durably(folder / SPEC, msgspec.json.encode(spec))


def read_verdict(folder: Path, token: str) -> Outcome | None:
    """The verdict of the attempt that holds `token`; None when there is none yet."""
    return _read_outcome(folder / VERDICT, token)


def read_sentinel(folder: Path, token: str) -> Outcome | None:
    """What the kernel of the attempt that holds `token` wrote when it had done everything."""
    return _read_outcome(folder / SENTINEL, token)


def _read_outcome(path: Path, token: str) -> Outcome | None:
    try:
        outcome = msgspec.json.decode(path.read_bytes(), type=Outcome)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return outcome if outcome.token == token else None
