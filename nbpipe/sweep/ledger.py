"""Where a sweep is kept: a folder of its own in `.nbpipe/sweeps`, with a journal that is the only truth of its state."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import threading
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.errors import StoreError, UsageError
from nbpipe.model import Event
from nbpipe.run.journal import JOURNAL, Journal, read
from nbpipe.run.project import Project
from nbpipe.sweep.study import Study, replay

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_NUMBERED = re.compile(r"s([1-9][0-9]{0,8})")
_LOCK = "lock"


class Ledger:
    """Appends what happens in one sweep; one process at a time may. An event that was appended survives a crash.

    Must not decide anything: `study.replay` says what the events mean.
    """

    def __init__(self, folder: Path) -> None:
        """Take the sweep; raises UsageError while another process works on it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.name = folder.name
        self._lock = threading.Lock()
        self._held = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._held)
            raise UsageError(
                f"another process works on the sweep '{self.name}'",
                name=self.name,
                fix="Wait for its end, or give this one another name with --study.",
            ) from error
        try:
            _check_whole(folder / JOURNAL)
            self._journal = Journal(folder)
        except BaseException:
            os.close(self._held)
            raise

    def append(self, kind: str, **data: Any) -> Event:
        """Append an event and make it durable, from any thread."""
        with self._lock:
            return self._journal.append(kind, **data)

    def study(self) -> Study | None:
        """The sweep as it stands; None where it has not begun."""
        return _replayed(self.name, self._journal.path)

    def close(self) -> None:
        """Let go of it. Safe to repeat."""
        self._journal.close()
        if self._held >= 0:
            os.close(self._held)
            self._held = -1


def sweeps_folder(project: Project) -> Path:
    """One folder per sweep."""
    return project.state / "sweeps"


def open_ledger(project: Project, name: str | None) -> Ledger:
    """The ledger of the sweep `name`; without a name a new one is made: s1, s2, … Raises UsageError."""
    root = sweeps_folder(project)
    if name is not None:
        return Ledger(root / check_name(name))
    root.mkdir(parents=True, exist_ok=True)
    (project.state / ".gitignore").write_text("*\n")
    number = max((int(found[1]) for path in root.iterdir() if (found := _NUMBERED.fullmatch(path.name))), default=0)
    while True:
        number += 1
        try:
            (root / f"s{number}").mkdir()
        except FileExistsError:
            continue
        return Ledger(root / f"s{number}")


def check_name(name: str) -> str:
    """The name itself. Raises UsageError for one that is no folder's."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name[:40]!r} cannot be the name of a sweep",
            name=name[:40],
            fix="Lower-case letters, digits, _ and -, a letter first: --study lr-and-depth",
        )
    return name


def read_study(project: Project, name: str) -> Study:
    """A sweep of the project. Raises UsageError where there is none of this name."""
    path = sweeps_folder(project) / check_name(name) / JOURNAL
    found = _replayed(name, path)
    if found is None:
        _check_whole(path)
        names = ", ".join(study.name for study in studies(project)) or "none"
        raise UsageError(f"there is no sweep '{name}'", name=name, fix=f"Sweeps of this project: {names}.")
    return found


def studies(project: Project) -> tuple[Study, ...]:
    """Every sweep of the project that can be read, newest first."""
    try:
        names = [path.name for path in sweeps_folder(project).iterdir() if _NAME.fullmatch(path.name)]
    except (FileNotFoundError, NotADirectoryError):
        return ()
    found = []
    for name in names:
        with contextlib.suppress(StoreError):
            found.append(_replayed(name, sweeps_folder(project) / name / JOURNAL))
    return tuple(sorted((study for study in found if study is not None), key=lambda study: -study.started))


def _replayed(name: str, path: Path) -> Study | None:
    """Raises StoreError for events that this version does not understand."""
    try:
        return replay(name, read(path))
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise _damaged(name, path, f"says what no sweep does: {error}") from error


def _check_whole(path: Path) -> None:
    """What would be appended behind a line that cannot be read, nobody would ever read. Raises StoreError."""
    lines = path.read_bytes().count(b"\n") if path.exists() else 0
    events = sum(1 for _ in read(path))
    if events < lines:
        raise _damaged(path.parent.name, path, f"cannot be read from line {events + 1} of {lines}")


def _damaged(name: str, path: Path, what: str) -> StoreError:
    fix = "Begin a new sweep: what its trials have computed is reused. Or write the file back from a backup."
    return StoreError(f"the journal of the sweep '{name}' {what}", name=str(path), fix=fix)
