"""What the cells of a run printed, from the logs that its jobs leave while they run."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.job.folder import LOG

_ATTEMPT = re.compile(r"(?P<stage>[a-z][a-z0-9_-]*)\.(?P<number>[1-9][0-9]*)")


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of output: `kind` is stdout, stderr, display, error or mark (a cell starts)."""

    stage: str
    attempt: int
    time: float
    cell: int | None
    kind: str
    text: str


class _Record(msgspec.Struct):
    t: float = 0.0
    cell: int | None = None
    type: str = ""
    name: str = ""
    text: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    traceback: list[str] = msgspec.field(default_factory=list)
    ename: str = ""
    evalue: str = ""


def read_logs(folder: Path, stage: str | None = None) -> list[LogLine]:
    """Everything that the jobs of the run in `folder` printed so far, in the order of time; of one stage, or of all."""
    return _Tail(folder, stage).take()


def latest_attempts(pieces: list[LogLine]) -> list[LogLine]:
    """Those of the last attempt of each stage: what earlier ones printed did not come to anything."""
    last: dict[str, int] = {}
    for piece in pieces:
        last[piece.stage] = max(last.get(piece.stage, 0), piece.attempt)
    return [piece for piece in pieces if piece.attempt == last[piece.stage]]


def follow_logs(
    folder: Path, stage: str | None = None, *, alive: Callable[[], bool], interval: float = 0.2
) -> Iterator[LogLine]:
    """The same as it comes, until `alive()` says that nothing more will."""
    tail = _Tail(folder, stage)
    while True:
        going = alive()
        yield from tail.take()
        if not going:
            return
        time.sleep(interval)


class _Tail:
    """Reads what was appended to the logs since the last look. A line that is not whole yet waits for the next."""

    def __init__(self, folder: Path, stage: str | None) -> None:
        self._folder = folder
        self._stage = stage
        self._read: dict[Path, int] = {}

    def take(self) -> list[LogLine]:
        found: list[LogLine] = []
        for path, stage, attempt in logs_of(self._folder, self._stage):
            try:
                with path.open("rb") as file:
                    file.seek(self._read.get(path, 0))
                    data = file.read()
            except FileNotFoundError:
                continue
            whole = data.rfind(b"\n") + 1
            self._read[path] = self._read.get(path, 0) + whole
            found += [
                piece for raw in data[:whole].splitlines() if (piece := piece_of(raw, stage, attempt)) is not None
            ]
        # Stable: pieces of one job never change places, whatever its clock says.
        return sorted(found, key=lambda piece: piece.time)


def logs_of(folder: Path, stage: str | None = None) -> list[tuple[Path, str, int]]:
    """The logs of a run's jobs, with stage and attempt; by the names of their folders."""
    try:
        folders = sorted((folder / "jobs").iterdir())
    except FileNotFoundError:
        return []
    matches = [(path, _ATTEMPT.fullmatch(path.name)) for path in folders]
    return [
        (path / LOG, match["stage"], int(match["number"]))
        for path, match in matches
        if match is not None and stage in (None, match["stage"])
    ]


def piece_of(raw: bytes, stage: str, attempt: int) -> LogLine | None:
    """One line of a job's log; None for one that says nothing."""
    try:
        record = msgspec.json.decode(raw, type=_Record)
    except msgspec.MsgspecError:
        return None
    kind, text = _shown(record)
    if not text and kind != "mark":
        return None
    return LogLine(stage=stage, attempt=attempt, time=record.t, cell=record.cell, kind=kind, text=text)


def _shown(record: _Record) -> tuple[str, str]:
    if record.type == "stream":
        return ("stderr" if record.name == "stderr" else "stdout"), record.text
    if record.type in ("display_data", "execute_result"):
        text = record.data.get("text/plain", "")
        return "display", ("".join(text) if isinstance(text, list) else str(text)) + "\n"
    if record.type == "error":
        return "error", "\n".join(record.traceback or [f"{record.ename}: {record.evalue}"]) + "\n"
    if record.type == "cell-start":
        return "mark", ""
    return "", ""
