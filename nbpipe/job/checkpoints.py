"""The checkpoints of a stage: they hold only while the files that were read are what they were."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

_FILES = "files"
_SEEN = "seen.jsonl"


def folder_of(place: str) -> str:
    """What the user's code is given of a place for checkpoints."""
    return os.path.join(place, _FILES)  # noqa: PTH118 - a text that goes into an environment


def remove(place: str) -> None:
    """The stage has succeeded: nobody will go on from there."""
    shutil.rmtree(place, ignore_errors=True)


class Checkpoints:
    """Notes what attempts that left checkpoints have read, and takes checkpoints away that were made of something else.

    A key holds code, parameters and inputs, but a file that a stage reads is known only when it is read. Must not look at
    what is in a checkpoint.
    """

    def __init__(self, place: str) -> None:
        self._place = Path(place)
        self._files = os.path.realpath(folder_of(place))
        self._on = False
        #: Path, as in `FileState` -> digest, of what earlier attempts read.
        self._before: dict[str, str] = {}

    def begin(self, digest: Callable[[str], str]) -> None:
        """Before the stage's cells: checkpoints made of files that are others now are removed."""
        self._before = self._noted()
        now = {path: digest(path) for path in self._before}
        # A file that was not sent to this machine is not here yet, and says nothing.
        if any(found and found != self._before[path] for path, found in now.items()):
            remove(str(self._place))
            self._before = {}

    def _noted(self) -> dict[str, str]:
        try:
            lines = (self._place / _SEEN).read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return {}
        return dict(json.loads(line) for line in lines if line.endswith("\n"))

    def made(self, folder: str, reads: Mapping[str, str]) -> None:
        """A folder is asked for. If it is the checkpoints' own, what was read so far counts, and what will be."""
        if not self._on and os.path.realpath(folder) == self._files:
            self._on = True
            self._place.mkdir(parents=True, exist_ok=True)
            for path, digest in reads.items():
                self.read(path, digest)

    def read(self, path: str, digest: str) -> bool:
        """A file was read; whether that contradicts the checkpoints there are."""
        if self._on and self._before.get(path) != digest:
            with (self._place / _SEEN).open("a") as file:
                file.write(json.dumps([path, digest]) + "\n")
        return path in self._before and self._before[path] != digest
