"""A folder in which a pipeline between two runs is run: it looks like the project, and nothing of the project is in reach."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nbpipe.errors import StoreError
from nbpipe.explain.copies import Copies
from nbpipe.explain.data import DataFile, contents, entries_of, folder_of, listed_folders, named_files, written_files
from nbpipe.explain.side import Side
from nbpipe.job.leftovers import held_folder, remove_abandoned
from nbpipe.job.undo import undo

#: Files at the root of a project that say how it is to be run.
_SETTINGS = ("nbpipe.toml", "pyproject.toml")


class Workshop:
    """Makes such folders and takes them away.

    Responsibilities: every file a stage may want stands where it stands in the project, as a copy; what stages wrote
    outside is put back. Must not: link to a file of the project, or leave anything behind.
    """

    def __init__(self, a: Side, b: Side, files: Sequence[DataFile], root: Path) -> None:
        self._a = a
        self._b = b
        self._files = files
        self._root = root
        self._listed = listed_folders(a, b)
        self._named = named_files(a, b, root)
        self._written = written_files(a, b)
        self._held = ExitStack()
        remove_abandoned("nbpipe-explain-")
        self._place = self._held.enter_context(held_folder("nbpipe-explain-"))
        self._copies = Copies(self._place / "copies", private=self._written)
        self._outside = Copies(self._place / "outside")
        # Stages may write anywhere, and a cached one puts its files there again.
        self._elsewhere = {path: self._outside.keep(Path(path)) for path in self._written if Path(path).is_absolute()}

    def close(self) -> None:
        """Remove everything."""
        self._held.close()

    @contextmanager
    def folder(self, notebook: bytes, swapped: AbstractSet[str]) -> Iterator[Path]:
        """The path of the notebook in a new folder, which is gone afterwards. Raises StoreError where it has no room."""
        root = self._place / "project"
        path = root / self._notebook_name()
        try:
            try:
                # A mark of a project that no listing shows.
                (root / ".git").mkdir(parents=True)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(notebook)
                self._put_data(root, swapped)
                self._put_modules(path.parent, root, swapped)
                self._put_rest(root)
            except OSError as error:
                raise _no_room(self._place, error) from error
            yield path
        finally:
            jobs = sorted(root.glob(".nbpipe/runs/*/jobs/*"), key=lambda job: -job.stat().st_mtime)
            for job in jobs:
                undo(job)
            for name, kept in self._elsewhere.items():
                self._outside.put_back(kept, Path(name))
            shutil.rmtree(root, ignore_errors=True)

    def _notebook_name(self) -> str:
        """Its own name where stages look at the names around it; else one that keeps its results apart from the project's."""
        path = Path(self._b.record.notebook)
        path = Path(path.name) if path.is_absolute() else path
        listed = folder_of(str(path)) in self._listed
        return str(path.with_suffix(".ipynb" if listed else ".explain.ipynb"))

    def _put_modules(self, folder: Path, root: Path, swapped: AbstractSet[str]) -> None:
        """Modules of both; one that both have as the swaps say."""
        both = self._a.pipeline.modules.keys() & self._b.pipeline.modules.keys()
        for side in (self._a, self._b):
            for name, (path, _) in side.pipeline.modules.items():
                if name in both and (f"module:{name}" in swapped) != (side is self._b):
                    continue
                kept = Path(path).name if path.startswith("..") else path
                target = Path(os.path.normpath(folder / path))
                if target.is_relative_to(root):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(side.bundle / "modules" / kept, target)

    def _put_data(self, root: Path, swapped: AbstractSet[str]) -> None:
        for file in self._files:
            source = contents(file, self._root, second=f"data:{file.path}" in swapped)
            if source is not None and not Path(file.path).is_absolute():
                self._copies.put(source, root / file.path, file.path)

    def _put_rest(self, root: Path) -> None:
        """Settings, what the code names, and where a folder was listed, as its names count, whatever lies in it."""
        known = self._written | {file.path for file in self._files} | {self._b.record.notebook}
        entries = [*(self._root / name for name in _SETTINGS), *self._named]
        for listed in sorted(self._listed):
            entries += entries_of(self._root / listed) if not Path(listed).is_absolute() else []
        for entry in entries:
            name = str(entry.relative_to(self._root))
            if name in known or (root / name).exists() or any(path.startswith(f"{name}/") for path in self._written):
                continue
            if entry.is_dir():
                (root / name).mkdir(parents=True)
            elif entry.is_file():
                self._copies.put(entry, root / name, name)


def _no_room(place: Path, error: OSError) -> StoreError:
    return StoreError(
        f"a copy of the project's files cannot be made in {place.parent}: {error.strerror or error}",
        name=str(place.parent),
        fix="Free space there, or name another place in TMPDIR.",
    )
