"""Copies of files, each made once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path


class Copies:
    """Copies of files in a folder of their own, given out as links: a large file is not copied for every run.

    A path in `private` gets a copy of its own each time, because stages are known to write it.
    """

    def __init__(self, folder: Path, *, private: Collection[str] = ()) -> None:
        folder.mkdir()
        self._folder = folder
        self._private = private
        self._made: dict[Path, tuple[Path, tuple[int, int]]] = {}

    def keep(self, source: Path) -> Path | None:
        """A copy of the file as it is now; None where there is none."""
        if not source.is_file():
            return None
        known = self._made.get(source)
        if known is not None and _stamp(known[0]) == known[1]:
            return known[0]
        # Not the old copy's name: somebody wrote through a link to it.
        kept = self._folder / f"{len(self._made)}-{len(list(self._folder.iterdir()))}"
        shutil.copyfile(source, kept)
        self._made[source] = (kept, _stamp(kept))
        return kept

    def put(self, source: Path, target: Path, name: str) -> None:
        """Make `target`, the project's file `name`, hold what `source` holds."""
        target.parent.mkdir(parents=True, exist_ok=True)
        kept = None if name in self._private else self.keep(source)
        try:
            if kept is not None:
                os.link(kept, target)
                return
        except PermissionError:
            pass  # a file system without links
        shutil.copyfile(source, target)

    def put_back(self, kept: Path | None, target: Path) -> None:
        """Make `target` what it was when it was kept."""
        if kept is None:
            target.unlink(missing_ok=True)
        elif not target.is_file() or target.read_bytes() != kept.read_bytes():
            shutil.copyfile(kept, target)


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
