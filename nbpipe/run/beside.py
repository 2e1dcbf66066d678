"""Runs that go on side by side in one project: whether one wrote a file that another used meanwhile.

Each job that runs has an entry in a folder of the project, by which the others see it, in whatever process they are.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from uuid import uuid4

import msgspec

from nbpipe.run.record import process_start

FOLDER = "beside"
_SPOILED = ".spoiled"

#: What a job has written by now, by its folder.
Written = Callable[[Path], Iterable[Path]]


class _Entry(msgspec.Struct, frozen=True):
    lane: str
    job: str
    pid: int
    process_started: int


class Lane:
    """One run among those that go on side by side. Paths are absolute.

    `place` is the folder of the entries; without one, and where it cannot be written, nobody is seen. `strict`: what a job
    read or may have written unseen, and the names in a folder that it listed, count as used, too.
    """

    def __init__(self, place: Path | None = None, *, strict: bool = False) -> None:
        self._place = place
        self._name = uuid4().hex
        self._entries: dict[Path, tuple[Path, Written]] = {}
        self.strict = strict
        #: Another run wrote something while a job of this one ran: how that ended may be due to it.
        self.crossed = False
        #: A file that a job used while another run wrote it: nothing that this run made of it holds.
        self.mixed: Path | None = None

    def started(self, folder: Path, written: Written) -> None:
        """A job of this run begins."""
        if self._place is None:
            return
        entry = self._place / f"{uuid4().hex}.json"
        said = _Entry(self._name, str(folder), os.getpid(), process_start(os.getpid()))
        with contextlib.suppress(OSError):
            self._place.mkdir(parents=True, exist_ok=True)
            scratch = entry.with_suffix(".new")
            scratch.write_bytes(msgspec.json.encode(said))
            scratch.replace(entry)
            self._entries[folder] = entry, written

    def wrote(self, paths: Iterable[Path]) -> None:
        """Files were put in place by the run itself."""
        self._spoil({*paths}, ())

    def used(self, folder: Path, paths: Iterable[Path]) -> Path | None:
        """A file, of those that an ended job used, that another run wrote meanwhile."""
        entry, written = self._entries.get(folder, (None, None))
        if entry is None or written is None:
            return None
        others = {path for path, seen in _spoiled(entry) if seen or self.strict}
        for _, other in self._others():
            others.update(written(Path(other.job)))
        self.crossed = self.crossed or bool(others)
        listed = others | {path.parent for path in others} if self.strict else others
        found = next((path for path in sorted(paths) if path in listed), None)
        self.mixed = found or self.mixed
        return found

    def over(self, folder: Path, written: Iterable[Path] = ()) -> None:
        """A job of this run has ended, what it wrote is committed or undone; `written` is what only its verdict says."""
        entry, own = self._entries.pop(folder, (None, None))
        if entry is None or own is None:
            return
        # First: who begins now finds what is committed.
        entry.unlink(missing_ok=True)
        self._spoil({*own(folder)}, written)
        entry.with_suffix(_SPOILED).unlink(missing_ok=True)

    def _spoil(self, seen: set[Path], unseen: Iterable[Path]) -> None:
        told = [*((str(path), True) for path in seen), *((str(path), False) for path in {*unseen} - seen)]
        if not told or self._place is None:
            return
        lines = b"".join(msgspec.json.encode(each) + b"\n" for each in sorted(told))
        for entry, _ in self._others():
            with contextlib.suppress(OSError), entry.with_suffix(_SPOILED).open("ab", buffering=0) as file:
                file.write(lines)

    def _others(self) -> Iterator[tuple[Path, _Entry]]:
        """Jobs of other runs that run now; entries of processes that have died are taken away."""
        for entry in sorted(self._place.glob("*.json")) if self._place is not None else ():
            try:
                found = msgspec.json.decode(entry.read_bytes(), type=_Entry)
            except (OSError, msgspec.MsgspecError):
                continue
            if found.lane == self._name:
                continue
            if process_start(found.pid) == found.process_started:
                yield entry, found
            else:
                for path in (entry, entry.with_suffix(_SPOILED)):
                    with contextlib.suppress(OSError):
                        path.unlink()


def _spoiled(entry: Path) -> Iterator[tuple[Path, bool]]:
    """What others wrote since the job began, and whether that was seen: else it may have been somebody else."""
    try:
        lines = entry.with_suffix(_SPOILED).read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        with contextlib.suppress(msgspec.MsgspecError):
            path, seen = msgspec.json.decode(line, type=tuple[str, bool])
            yield Path(path), seen
