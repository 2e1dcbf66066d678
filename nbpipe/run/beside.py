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
        self._written: Written | None = None
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
            self._written = written
            # Those that have died by now are in nobody's way: what they left lies there before it begins.
            list(self._others())
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
        # First: one that has died meanwhile is told of as it is taken away.
        running = [Path(other.job) for _, other in self._others()]
        others = {path for path, seen in _spoiled(entry) if seen or self.strict}
        others.update(path for job in running for path in written(job))
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
        # First: until they are told, others see that it runs.
        self._spoil({*own(folder)}, written)
        entry.unlink(missing_ok=True)
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
        for entry, found in _entries(self._place) if self._place is not None else ():
            if found.lane == self._name:
                continue
            if process_start(found.pid) == found.process_started:
                yield entry, found
            elif self._written is not None:
                _bury(entry, found, self._written)


def crossed(place: Path, job: Path, written: Written) -> bool:
    """Whether another run may have written what a job used whose run has died.

    True, too, where the job's entry in `place` is gone: a run that went on beside it took it away.
    """
    entries = list(_entries(place))
    own = next(((entry, found) for entry, found in entries if found.job == str(job)), None)
    if own is None:
        return True
    others = {path for path, _ in _spoiled(own[0])}
    others.update(path for _, other in entries if other.lane != own[1].lane for path in written(Path(other.job)))
    return not others.isdisjoint(written(job))


def bury(place: Path, job: Path, written: Written) -> None:
    """Take away the entry of a job whose run has died, once others have been told what it wrote."""
    for entry, found in _entries(place):
        if found.job == str(job):
            _bury(entry, found, written)


def _bury(entry: Path, dead: _Entry, written: Written) -> None:
    lines = b"".join(msgspec.json.encode((str(path), True)) + b"\n" for path in written(Path(dead.job)))
    for other, found in _entries(entry.parent) if lines else ():
        if found.lane != dead.lane:
            with contextlib.suppress(OSError), other.with_suffix(_SPOILED).open("ab", buffering=0) as file:
                file.write(lines)
    for path in (entry, entry.with_suffix(_SPOILED)):
        with contextlib.suppress(OSError):
            path.unlink()


def _entries(place: Path) -> Iterator[tuple[Path, _Entry]]:
    for entry in sorted(place.glob("*.json")):
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            yield entry, msgspec.json.decode(entry.read_bytes(), type=_Entry)


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
