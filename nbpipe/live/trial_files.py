"""The folder of trials as a kernel writes it: an id nobody else gets, a file that is whole or not there, the oldest removed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from nbpipe.history.trials import trial_folder, trial_ids

if TYPE_CHECKING:
    from pathlib import Path

    from nbpipe.run.project import Project
    from nbpipe.tracking.trial import Trial

#: How many are kept.
KEPT = 5000
#: Trials written between two looks at how many there are.
_EVERY = 100


class TrialFiles:
    """Writes trials of one kernel. Several kernels may write into the same folder."""

    def __init__(self, project: Project, kept: int = KEPT) -> None:
        self.folder: Path = trial_folder(project)
        self.project = project
        self._kept = max(kept, 1)
        self._next = 0
        self._written = 0

    def write(self, trial: Trial) -> str:
        """Write the trial under a new id, which is returned. Raises OSError, leaving no half file."""
        if not self._next:
            self._next = 1
            self.folder.mkdir(parents=True, exist_ok=True)
            ignore = self.project.state / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n")
        # Ids are in order: while the last one from here is there, none of the later ones was removed either.
        if not (self.folder / f"t{self._next - 1}.json").exists():
            self._next = max(self._newest() + 1, self._next)
        scratch = self.folder / f".writing.{os.getpid()}"
        try:
            while True:
                name = f"t{self._next}"
                _fill(scratch, _encoded(msgspec.structs.replace(trial, id=name)))
                if self._take(scratch, self.folder / f"{name}.json"):
                    break
                self._next = max(self._newest(), self._next) + 1
        finally:
            scratch.unlink(missing_ok=True)
        self._next += 1
        self._written += 1
        if self._written % _EVERY == 1:
            self.prune()
        return name

    def prune(self) -> None:
        """Remove the oldest of too many."""
        for name in trial_ids(self.project)[self._kept :]:
            (self.folder / f"{name}.json").unlink(missing_ok=True)

    def _newest(self) -> int:
        return max((int(name[1:]) for name in trial_ids(self.project)), default=0)

    @staticmethod
    def _take(scratch: Path, target: Path) -> bool:
        """Put the file in place; False when the name is taken."""
        try:
            os.link(scratch, target)
        except FileExistsError:
            return False
        except OSError:
            # This file system has no hard links: take the name first, then fill it.
            try:
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            except FileExistsError:
                return False
            scratch.replace(target)
        return True


def _encoded(trial: Trial) -> bytes:
    try:
        return msgspec.json.encode(trial, enc_hook=str)
    except UnicodeEncodeError:
        return msgspec.json.encode(_writable(msgspec.to_builtins(trial, enc_hook=str)))


def _writable(data: Any) -> Any:
    """Half a surrogate pair, as in names of files that are no UTF-8, written as its escape: JSON has no such text."""
    if isinstance(data, str):
        return data.encode("utf-8", "backslashreplace").decode()
    if isinstance(data, dict):
        return {_writable(key): _writable(value) for key, value in data.items()}
    return [_writable(item) for item in data] if isinstance(data, (list, tuple)) else data


def _fill(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
