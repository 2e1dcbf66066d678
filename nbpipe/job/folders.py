"""Folders around a stage: those that it goes by, makes sure of, or removes. What it made can be undone."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbpipe.job.folder import UNDO

#: In the folder of copies: a line of JSON for each folder that was made or removed.
_INDEX = "folders.jsonl"
#: Bytes in a folder that is renamed from which on they are not copied before: it cannot be put back.
_MOST_MOVED = 1_000_000_000


class Folders:
    """The folders of one job, by absolute path.

    Responsibilities: which were there although the stage had not made them, how it leaves others. Must not touch one.
    """

    def __init__(self, job: Path) -> None:
        self._index = job / UNDO / _INDEX
        #: Were there when the stage needed them, or was told so.
        self.found: set[str] = set()
        #: Those that it made, or made sure of; and those that it removed.
        self.touched: set[str] = set()
        #: Those that were not there before it made them.
        self.made: set[str] = set()
        self._removed: set[str] = set()

    def goes_by(self, path: str) -> bool:
        """It needs this folder to be there, or was told that it is; whether it is. One that it makes sure of says nothing."""
        there = os.path.isdir(path)  # noqa: PTH112 - each file that is written comes here
        if there and path not in self.touched:
            self.found.add(path)
        return there

    def makes(self, path: str, *, asks: bool) -> None:
        """It is about to make it; with `asks` it fails where there is one."""
        self.goes_by(str(Path(path).parent))
        if asks:
            self.goes_by(path)
        self.touched.add(path)
        if not os.path.lexists(path) and path not in self._removed:
            self._note(path, there=False)
            self.made.add(path)

    def removes(self, path: str) -> None:
        """It is about to remove it, if it is empty."""
        if not os.path.isdir(path):  # noqa: PTH112 - see above
            return
        self.goes_by(path)
        self.touched.add(path)
        if path not in self.made:
            self._removed.add(path)
            self._note(path, there=True)

    def moves(self, given: str, *, there: bool, target: str | None) -> list[str] | None:
        """It is about to rename a folder: the files in it. None where they are too many bytes to be kept for an undo.

        `there`: where it lies now is watched; `target` is where it comes to, if that is watched.
        """
        found = list(os.walk(given)) if there or target is not None else []
        paths = [os.path.join(place, name) for place, _, names in found for name in names]  # noqa: PTH118
        if there and sum(Path(path).lstat().st_size for path in paths) > _MOST_MOVED:
            return None
        for place, _, _ in found:
            if there:
                self.removes(place)
            if target is not None:
                self.makes(target + place.removeprefix(given), asks=False)
        return paths

    def _note(self, path: str, *, there: bool) -> None:
        with self._index.open("a") as index:
            index.write(json.dumps({"path": path, "there": there, "at": time.time_ns()}) + "\n")

    def left(self) -> dict[str, bool]:
        """Folders that it made or removed, and whether each is there in the end."""
        found = {path: Path(path).is_dir() for path in sorted(self.touched)}
        return {path: there for path, there in found.items() if there or path not in self.made}


def changed_folders(job: Path) -> Iterator[tuple[str, bool, int]]:
    """Folders that a job made or removed, by now: path, whether it was there before, and when that was, in ns."""
    try:
        lines = (job / UNDO / _INDEX).read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return
    for line in lines:
        if line.endswith("\n"):
            entry: dict[str, Any] = json.loads(line)
            yield entry["path"], entry["there"], entry["at"]


def placed(path: Any, folder: int = -1) -> Any:
    """`path` as a call means it that names its folder by a descriptor, as `shutil.rmtree` does; -1 stands for none."""
    if folder < 0 or not isinstance(path, (str, bytes)):
        return path
    return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), os.fsdecode(path))  # noqa: PTH115, PTH118


def ensures(frame: Any) -> bool:
    """Whether what makes a folder takes one that is there: `os.makedirs(path, exist_ok=True)`."""
    while frame is not None and frame.f_code.co_name in {"mkdir", "makedirs"}:
        if frame.f_locals.get("exist_ok"):
            return True
        frame = frame.f_back
    return False
