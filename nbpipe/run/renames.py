"""Under which names a notebook ran: renames that the lab made, noted in `.nbpipe/renames.jsonl`, one a line.

The file only grows. A line that cannot be read, or that names a place outside the project, counts for nothing.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec

from nbpipe.run.project import Project, find_project, relative

RENAMES = "renames.jsonl"
#: More turns than this are a file that somebody made up, and more than a question to SQLite may have.
_MOST_STAYS = 300


class Rename(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook, or a folder with notebooks, has another name. Paths are relative to the project, with slashes."""

    before: str
    after: str
    #: Seconds since the epoch.
    at: float


class Stay(NamedTuple):
    """The time (seconds since the epoch, [since, until)) that a notebook spent at a path."""

    path: str
    since: float
    until: float

    def covers(self, path: str, began: float) -> bool:
        """Whether a run of `path` that began then was one of this notebook."""
        return path == self.path and self.since <= began < self.until


def note_rename(before: Path, after: Path) -> None:
    """Note that the file or folder `before` is `after` now. Nothing is noted where no run would be found by it.

    That is: where the project never ran, the names lie in different projects, or the whole project moved.
    """
    project = find_project(after if after.is_dir() else after.parent)
    root = project.root
    names = [Path(os.path.abspath(path)) for path in (before, after)]  # noqa: PTH100 - `before` may have been a link
    names = [name.parent.resolve() / name.name for name in names]
    if not project.state.is_dir() or not all(name != root and name.is_relative_to(root) for name in names):
        return
    if find_project(before.parent) != project:
        return
    old, new = (name.relative_to(root).as_posix() for name in names)
    line = msgspec.json.encode(Rename(before=old, after=new, at=time.time())) + b"\n"
    # A line that was torn off is ended first.
    with (project.state / RENAMES).open("ab") as file:
        file.write(line if _ends(project.state / RENAMES) else b"\n" + line)


def stays(project: Project, notebook: Path | str) -> list[Stay]:
    """The names that the notebook at this path (absolute, or relative to the project) had, newest first."""
    path = relative(project.root / notebook, project.root).replace(os.sep, "/")
    found: list[Stay] = []
    until = math.inf
    for rename in reversed(_read(project)):
        if rename.at >= until or len(found) == _MOST_STAYS:
            continue
        came, left = _below(path, rename.after), _below(path, rename.before)
        if came is None and left is None:
            continue
        if came is None and not found and not (project.root / path).exists():
            # It is not there any more. Who asks for the old name means the old runs.
            continue
        found.append(Stay(path, rename.at, until))
        if came is None:
            # Before that, another notebook had the name.
            return found
        path, until = f"{rename.before}{came}", rename.at
    return [*found, Stay(path, -math.inf, until)]


def _below(path: str, name: str) -> str | None:
    """What follows `name` in a path that is it or lies in it; None for another."""
    return path[len(name) :] if path == name or path.startswith(f"{name}/") else None


def _read(project: Project) -> list[Rename]:
    """What was noted, oldest first."""
    try:
        lines = (project.state / RENAMES).read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            rename = msgspec.json.decode(line, type=Rename)
        except msgspec.MsgspecError:
            continue
        if _is_inside(rename.before) and _is_inside(rename.after):
            found.append(rename)
    return sorted(found, key=lambda rename: rename.at)


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\0" not in path


def _ends(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() == b"\n"
    except OSError:  # there is nothing in it yet
        return True
