"""Where a project's state lies, and the ids and folders of its runs."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from nbpipe.errors import UsageError
from nbpipe.tracking import outbox

_MARKS = ("nbpipe.toml", "pyproject.toml", ".git")
_DELETED = "deleted"
_RUN_ID = re.compile(r"r[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Project:
    """A folder and its `.nbpipe`."""

    root: Path

    @property
    def state(self) -> Path:
        """`.nbpipe`."""
        return self.root / ".nbpipe"

    @property
    def runs(self) -> Path:
        """One folder per run."""
        return self.state / "runs"

    @property
    def store(self) -> str:
        """Location of the store: `NBPIPE_STORE`, else a folder of the project."""
        return os.environ.get("NBPIPE_STORE") or str(self.state / "store")

    def run_folder(self, run: str) -> Path:
        """Folder of an existing run. Raises UsageError for a name that is no run id, or a run that is not there."""
        if not _RUN_ID.fullmatch(run):
            raise UsageError(
                f"{run[:40]!r} is not a run", name=run[:40], fix="Runs are named r1, r2, …: nbpipe history"
            )
        folder = self.runs / run
        if not folder.is_dir():
            raise UsageError(f"there is no run {run} in {self.root}", name=run, fix="List the runs: nbpipe history")
        return folder

    def run_ids(self) -> list[str]:
        """Ids of all runs, newest first."""
        try:
            with os.scandir(self.runs) as entries:
                names = [entry.name for entry in entries if _RUN_ID.fullmatch(entry.name) and entry.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(names, key=lambda name: int(name[1:]), reverse=True)

    def new_run(self) -> str:
        """Id of a new run, whose folder is made: no two callers get the same."""
        self.runs.mkdir(parents=True, exist_ok=True)
        (self.state / ".gitignore").write_text("*\n")
        number = max(int(next(iter(self.run_ids()), "r0")[1:]), self._highest_deleted()) + 1
        while True:
            try:
                (self.runs / f"r{number}").mkdir()
            except FileExistsError:
                number += 1
            else:
                return f"r{number}"

    def retire(self, run: str) -> None:
        """Note that a run is about to be deleted: its id is not given again."""
        number = max(int(run[1:]), self._highest_deleted())
        scratch = self.state / f".{_DELETED}.{os.getpid()}"
        scratch.write_text(f"{number}\n")
        scratch.replace(self.state / _DELETED)

    def discard(self, run: str) -> None:
        """Remove a run, whose id is not given again, and what still waits to be told to MLflow of it. Raises OSError."""
        self.retire(run)
        outbox.note_of(self.runs / run).unlink(missing_ok=True)
        trash = self.state / f".deleted-{run}-{uuid4().hex[:8]}"
        # At once for whoever looks; the rest may take its time, and may be killed.
        (self.runs / run).rename(trash)
        shutil.rmtree(trash)

    def _highest_deleted(self) -> int:
        try:
            return int((self.state / _DELETED).read_text())
        except (OSError, ValueError):
            return 0


def find_project(path: Path) -> Project:
    """The project of a notebook or folder: the nearest folder above with a mark of one, else its own folder."""
    start = path.resolve()
    folder = start if start.is_dir() else start.parent
    for candidate in (folder, *folder.parents):
        if any((candidate / mark).exists() for mark in _MARKS):
            return Project(candidate)
    return Project(folder)


def relative(path: Path, root: Path) -> str:
    """The path from `root`, where it lies below; else absolute."""
    resolved = path.resolve()
    return str(resolved.relative_to(root)) if resolved.is_relative_to(root) else str(resolved)
