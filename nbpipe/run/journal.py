"""The journal of a run: one append-only file of events, the only truth of the run's state."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.model import Event
from nbpipe.run.faults import fault
from nbpipe.run.refused import refused

JOURNAL = "journal.jsonl"


class Journal:
    """Appends events, numbered without gaps. An event that was appended survives a crash.

    `listener` hears each event after it is durable. Must not interpret events: `state.replay` does.
    """

    def __init__(self, folder: Path, listener: Callable[[Event], None] | None = None) -> None:
        self.path = folder / JOURNAL
        events = list(read(self.path))
        self._seq = events[-1].seq if events else 0
        self._listener = listener
        cut_torn_line(self.path)
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def append(self, kind: str, *, stage: str = "", attempt: int = 0, **data: Any) -> Event:
        """Append an event and make it durable. Raises StoreError if the disk refuses; the file is then as before."""
        event = Event(seq=self._seq + 1, time=time.time(), kind=kind, stage=stage, attempt=attempt, data=data)
        line = msgspec.json.encode(event) + b"\n"
        before = os.fstat(self._file).st_size
        try:
            left = memoryview(line)
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, before)
            raise refused(self.path, error) from error
        fault("journal.after_write")
        self._seq += 1
        if self._listener is not None:
            self._listener(event)
        return event

    def close(self) -> None:
        """Close the file. Safe to repeat."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def forget_unborn(folder: Path) -> None:
    """Remove the folder of a run that never began, whose driver has ended: nothing lies in it but an empty journal."""
    with contextlib.suppress(OSError):
        if not (folder / JOURNAL).stat().st_size:
            (folder / JOURNAL).unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def read(path: Path, after: int = 0) -> Iterator[Event]:
    """Events with a number above `after`, in order. Stops at the first line that is not whole or not the next one."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    expected = 1
    for line in lines[:-1]:
        try:
            event = msgspec.json.decode(line, type=Event)
        except msgspec.MsgspecError:
            return
        if event.seq != expected:
            return
        expected += 1
        if event.seq > after:
            yield event


def follow(path: Path, *, after: int = 0, alive: Callable[[], bool], interval: float = 0.1) -> Iterator[Event]:
    """Events as they come, until the run is finished or `alive()` says that nobody writes any more."""
    while True:
        going = alive()
        for event in read(path, after):
            after = event.seq
            yield event
            if event.kind == "run-finished":
                return
        if not going:
            return
        time.sleep(interval)


def cut_torn_line(path: Path) -> None:
    """A crash may have left half a line: the next event must not be glued to it."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        with path.open("r+b") as file:
            file.truncate(whole)
