"""A kernel whose cell failed waits for the mended cell, for as long as its target says."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nbpipe.credentials import values_of
from nbpipe.job import folder as files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbpipe.job.engine import Execution
    from nbpipe.job.launch import KernelProcess
    from nbpipe.model import JobSpec, Outcome
    from nbpipe.store.trust import Signer

#: Seconds between two looks whether there is an order, and at what the kernel's processes hold.
_LOOK, _WEIGH = 0.02, 1.0
#: What the attempt that failed has said; the one that goes on says it anew.
_SAID = (files.VERDICT, files.SENTINEL, files.FAILURE, files.LOOKED, files.NEEDS, files.LOG)
#: What another attempt of the stage has of its own.
_ITS_OWN = (
    "run", "token", "attempt", "cells", "outputs", "spare", "metrics", "thresholds", "known_metrics", "champion",
    "timeout", "output_limit", "reads", "declared", "keep_failed", "keep_memory", "continues", "first",
)  # fmt: skip


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """`kept.json`: the kernel of the attempt `token` waits, `index` cells of its stage stand."""

    schema: int = 1
    token: str
    #: Exit code of the attempt, and number of the cell that failed.
    code: int
    cell: int
    index: int
    #: Seconds since the epoch.
    until: float
    #: Bytes that its processes held as it began to wait, and the GPUs that it holds.
    memory: int = 0
    gpus: tuple[str, ...] = ()
    #: Where it came home: what the job is called there, the host that has it, the target's settings, digests of the
    #: files that it looked at.
    job: str = ""
    host: str = ""
    target: str = ""
    looked: dict[str, str] = {}
    #: Of the values of the secrets that the kernel was started with.
    secrets: str = ""


def mark(names: Iterable[str], environment: Mapping[str, str], signer: Signer) -> str:
    """Tells whether secrets have the values that they had, and nothing else of them; "" where there are none.

    Raises SecretError for one that is not set.
    """
    values = sorted(values_of(names, environment).items())
    return signer.sign("secrets", [text.encode() for pair in values for text in pair]) if values else ""


def worth_keeping(spec: JobSpec, execution: Execution, outcome: Outcome) -> int:
    """How many cells of the stage stand, where its kernel is to be kept; else 0."""
    failure = outcome.failure
    if not spec.keep_failed or spec.nproc or outcome.status != "failed" or execution.end != "error":
        return 0
    if failure is None or failure.code != "user-code":
        return 0
    return next((n for n, code in enumerate(spec.cells) if code.cell == execution.cell), 0)


def wait(folder: Path, kept: Kept, spec: JobSpec, process: KernelProcess) -> JobSpec | None:
    """Say that the kernel waits; the attempt that goes on in it, None where nobody wants it any more.

    Raises OSError where the folder cannot be written.
    """
    keeper, weighed = os.getppid(), 0.0
    files.write_durably(folder / files.KEPT, msgspec.json.encode(kept))
    try:
        while time.time() < kept.until and os.getppid() == keeper and process.poll() is None:
            if not (folder / files.KEPT).exists():
                return None
            if _taken(folder):
                return _ordered(folder, spec)
            if time.monotonic() - weighed > _WEIGH:
                weighed = time.monotonic()
                if spec.keep_memory and resident(process.pid) > spec.keep_memory:
                    return None
            time.sleep(_LOOK)
        return None
    finally:
        # Last of all: who gave the order waits for it.
        (folder / files.KEPT).unlink(missing_ok=True)


def _taken(folder: Path) -> bool:
    """Take the order, if there is one: nobody else can have it, nor take it back."""
    try:
        (folder / files.ORDER).rename(folder / f".{files.ORDER}")
    except FileNotFoundError:
        return False
    return True


def _ordered(folder: Path, spec: JobSpec) -> JobSpec | None:
    """The attempt that the order is of; None where it is to end, or is none that is understood here."""
    try:
        order = msgspec.json.decode((folder / f".{files.ORDER}").read_bytes(), type=type(spec))
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    going = msgspec.structs.replace(spec, **{name: getattr(order, name) for name in _ITS_OWN})
    for name in _SAID:
        (folder / name).unlink(missing_ok=True)
    files.write_spec(folder, going)
    return going


def continued(outcome: Outcome, spec: JobSpec) -> Outcome:
    """The outcome of an attempt that went on in such a kernel: it is reused by nobody."""
    cell = spec.cells[spec.first].cell
    reason = f"it was continued at cell {cell}, in the kernel in which that cell had failed"
    return msgspec.structs.replace(outcome, continued=(spec.stage,), uncacheable=(*outcome.uncacheable, reason))


def resident(group: int) -> int:
    """Bytes of memory that the processes of a group hold together; 0 where nobody says."""
    pages = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            pages += int(fields[21])
    return pages * os.sysconf("SC_PAGE_SIZE")
