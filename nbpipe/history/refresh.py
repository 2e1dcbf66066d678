"""Brings the index up to date with the folders of a project: only what is new or has changed is read."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from nbpipe.history.alive import Alive
from nbpipe.history.index import Entry, Index, Known, memory_index, open_index
from nbpipe.history.rows import read_trial_row, run_row
from nbpipe.history.state import run_state
from nbpipe.history.summary import Kind, RunSummary
from nbpipe.history.trials import trial_folder
from nbpipe.run import record as records
from nbpipe.run.project import Project

INDEX = "history.db"
#: Two changes closer than this (nanoseconds) may carry the same time: such a time says nothing yet.
_RESOLUTION = 20_000_000


class _Place(NamedTuple):
    """A folder with an entry per run or per trial."""

    kind: Kind
    folder: Path
    names: re.Pattern[str]
    #: The row of an entry; None where it cannot be read (yet).
    read: Callable[[Path], RunSummary | None]


def fresh_index(project: Project, alive: Alive, kinds: Collection[Kind] = ()) -> Index:
    """The index of the project, up to date for these kinds (all of them if none is named); for the caller to close.

    Where it cannot be read or written, or there is no project yet, it is made in memory.
    """
    path = project.state / "cache" / INDEX
    places = [place for place in _places(project, alive) if not kinds or place.kind in kinds]
    # Asking leaves nothing in a folder that nobody has run anything in.
    for attempt in (1, 2) if project.state.is_dir() else ():
        index = None
        try:
            index = open_index(path)
            _refresh(index, places)
            return index
        except (sqlite3.Error, OSError) as error:
            if index is not None:
                index.close()
            # Rubbish is made anew; what somebody else holds for long, or nobody may write, is left alone.
            rubbish = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
            if not rubbish or attempt == 2:  # noqa: PLR2004 - the last one
                break
            forget(project)
    index = memory_index()
    _refresh(index, places)
    return index


def forget(project: Project) -> None:
    """Remove the index: the next question makes it anew."""
    (project.state / "cache" / INDEX).unlink(missing_ok=True)


def _places(project: Project, alive: Alive) -> list[_Place]:
    return [
        _Place(
            "run",
            project.runs,
            re.compile(r"r[1-9][0-9]{0,8}"),
            lambda folder: run_row(folder, run_state(folder, alive)),
        ),
        _Place("trial", trial_folder(project), re.compile(r"t[1-9][0-9]{0,8}\.json"), read_trial_row),
    ]


def _refresh(index: Index, places: Iterable[_Place]) -> None:
    for place in places:
        stamp = _stamp(place.folder)
        entries: list[Entry] = []
        gone: list[str] = []
        told = not stamp or index.stamp(place.kind) != stamp
        if told:
            known = index.known(place.kind)
            found = dict(_listing(place))
            gone = [run for run in known if run not in found]
            for run, now in found.items():
                if (known.get(run) != now or now.changed <= 0) and (
                    row := place.read(path := _path(place, run))
                ) is not None:
                    entries.append(Entry(row, now, _made(path, row)))
        seen = {entry.summary.run for entry in entries} | set(gone)
        for row in index.unfinished(place.kind):
            path = _path(place, row.run)
            if row.run not in seen and (now_row := place.read(path)) is not None and now_row != row:
                entries.append(Entry(now_row, _known(path), _made(path, now_row)))
        if entries or gone or (told and stamp):
            index.put(entries, gone=gone, stamps=[(place.kind, stamp)])


def _made(path: Path, row: RunSummary) -> int:
    """As MLflow is told it: see `nbpipe.tracking.deliver`."""
    record = records.read(path) if row.kind == "run" else None
    return int((record.created if record is not None else row.started) * 1000)


def _path(place: _Place, run: str) -> Path:
    return place.folder / (run if place.kind == "run" else f"{run}.json")


def _listing(place: _Place) -> Iterator[tuple[str, Known]]:
    try:
        with os.scandir(place.folder) as entries:
            for entry in entries:
                if place.names.fullmatch(entry.name) and entry.is_dir() == (place.kind == "run"):
                    try:
                        yield entry.name.removesuffix(".json"), _trusted(entry.stat())
                    except FileNotFoundError:
                        continue
    except (FileNotFoundError, NotADirectoryError):
        return


def _known(folder: Path) -> Known:
    try:
        return _trusted(folder.stat())
    except OSError:
        return Known(0, 0)


def _trusted(stat: os.stat_result) -> Known:
    return Known(stat.st_ino, stat.st_mtime_ns if _is_old(stat) else -stat.st_mtime_ns)


def _stamp(folder: Path) -> str:
    """Changes with the list of runs; "" where it says nothing."""
    try:
        stat = folder.stat()
    except OSError:
        return "nothing"
    return f"{stat.st_dev} {stat.st_ino} {stat.st_mtime_ns}" if _is_old(stat) else ""


def _is_old(stat: os.stat_result) -> bool:
    return time.time_ns() - stat.st_mtime_ns > _RESOLUTION
