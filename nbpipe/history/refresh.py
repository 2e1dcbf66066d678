"""Brings the index up to date with the folders of a project: only what is new or has changed is read."""

from __future__ import annotations

import math
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.history.alive import Alive
from nbpipe.history.index import Entry, Index, Known, memory_index, open_index
from nbpipe.history.notes import read_notes
from nbpipe.history.state import run_state
from nbpipe.history.summary import RunSummary, summarize
from nbpipe.run.project import Project

INDEX = "history.db"
_RUN = re.compile(r"r[1-9][0-9]{0,8}")
#: Two changes closer than this (nanoseconds) may carry the same time: such a time says nothing yet.
_RESOLUTION = 20_000_000


def fresh_index(project: Project, alive: Alive) -> Index:
    """The index of the project, up to date; for the caller to close."""
    path = project.state / "cache" / INDEX
    try:
        index = open_index(path)
    except sqlite3.DatabaseError as error:
        if not isinstance(error, sqlite3.OperationalError):
            path.unlink(missing_ok=True)  # rubbish
        index = memory_index()
    except OSError:
        index = memory_index()
    try:
        _refresh(index, project, alive)
    except sqlite3.Error:
        # Somebody else writes for long, or nobody may write here.
        index.close()
        index = memory_index()
        _refresh(index, project, alive)
    return index


def _refresh(index: Index, project: Project, alive: Alive) -> None:
    stamp = _stamp(project.runs)
    entries: list[Entry] = []
    gone: list[str] = []
    if not stamp or index.stamp("runs") != stamp:
        known = index.known("run")
        found = dict(_listing(project.runs))
        gone = [run for run in known if run not in found]
        changed = {run: now for run, now in found.items() if known.get(run) != now or now.changed <= 0}
        entries = [Entry(_read(project.runs / run, alive), now) for run, now in changed.items()]
    seen = {entry.summary.run for entry in entries} | set(gone)
    for row in index.unfinished("run"):
        if row.run not in seen and (now := _read(project.runs / row.run, alive)) != row:
            entries.append(Entry(now, _known(project.runs / row.run)))
    if entries or gone or (stamp and index.stamp("runs") != stamp):
        index.put(entries, gone=gone, stamps=[("runs", stamp)])


def _read(folder: Path, alive: Alive) -> RunSummary:
    row = summarize(folder.name, run_state(folder, alive))
    made = _environment(folder)
    git = made.get("git")
    commit = git.get("commit") if isinstance(git, dict) else ""
    return msgspec.structs.replace(
        row,
        metrics={name: number for name, number in row.metrics.items() if _is_number(number)},
        user=str(made.get("user") or ""),
        commit=str(commit or "").lower(),
        tags=read_notes(folder).tags,
    )


def _environment(folder: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode((folder / "environment.json").read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        return {}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _listing(folder: Path) -> Iterator[tuple[str, Known]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _RUN.fullmatch(entry.name):
                    try:
                        yield entry.name, _trusted(entry.stat())
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
