"""`run.json`: what a run is, for people and programs that list runs. Written again whenever its status changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.job.folder import write_durably

RECORD = "run.json"


class Record(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A run at a glance. Times are seconds since the epoch; paths are relative to the project."""

    schema: int = 1
    id: str
    notebook: str
    name: str
    version: str
    number: int = 0
    sha256: str = ""
    status: str = "running"
    params: dict[str, Any] = {}
    profile: str | None = None
    seed: int = 0
    #: Location of the store that its results lie in; "" for the project's own.
    store: str = ""
    created: float = 0.0
    ended: float = 0.0
    pid: int = 0
    process_started: int = 0
    #: The executed copy of the notebook.
    executed: str = ""
    #: Stage -> key of the result it ended with. Under one key there are several, as what the stages read changes.
    keys: dict[str, str] = {}
    #: Stage -> token of the attempt that made the result: the same tokens mean the same results.
    results: dict[str, str] = {}
    warnings: list[str] = []
    exit_code: int = 0


def write(folder: Path, record: Record) -> None:
    """Write durably."""
    write_durably(folder / RECORD, msgspec.json.encode(record))


def read(folder: Path) -> Record | None:
    """The record of a run; None if it is not there or not whole."""
    try:
        return msgspec.json.decode((folder / RECORD).read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError):
        return None


def process_start(pid: int) -> int:
    """When a process started, in ticks since boot; 0 if it is gone. Tells a process from a later one with its number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return 0 if ") Z" in stat else int(stat.rsplit(")", 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        pass
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return 0
    return 0 if Path("/proc").is_dir() else 1


def is_alive(record: Record) -> bool:
    """The process that drives the run lives."""
    return bool(record.pid) and process_start(record.pid) == record.process_started != 0
