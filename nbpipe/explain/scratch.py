"""A folder in which a pipeline between two runs is run: it looks like the project, and nothing of the project is in reach."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path

from nbpipe.explain.data import DataFile, contents, entries_of, listed_folders, written_files
from nbpipe.explain.side import Side
from nbpipe.job.files import undo


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
        self._place = Path(tempfile.mkdtemp(prefix="nbpipe-explain-")).resolve()
        self._listed = listed_folders(a, b)
        self._written = written_files(a, b)
        #: Files elsewhere that cached stages put back: what they held before.
        self._outside = {path: self._kept(path) for path in self._written if Path(path).is_absolute()}

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self._place, ignore_errors=True)

    @contextmanager
    def folder(self, notebook: bytes, swapped: AbstractSet[str]) -> Iterator[Path]:
        """The path of the notebook in a new folder; the folder is gone afterwards."""
        root = self._place / "project"
        # A mark of a project that no listing shows.
        (root / ".git").mkdir(parents=True)
        path = root / self._notebook_name()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.write_bytes(notebook)
            self._put_modules(path.parent, root, swapped)
            self._put_data(root, swapped)
            self._fill_listed(root)
            yield path
        finally:
            for job in sorted(root.glob(".nbpipe/runs/*/jobs/*"), key=lambda job: -job.stat().st_mtime):
                undo(job)
            self._put_back()
            shutil.rmtree(root, ignore_errors=True)

    def _notebook_name(self) -> str:
        """Its own name where stages look at the names around it; else one that keeps its results apart from the project's."""
        path = Path(self._b.record.notebook)
        path = Path(path.name) if path.is_absolute() else path
        parent = "./" if str(path.parent) == "." else f"{path.parent}/"
        return str(path.with_suffix(".ipynb" if parent in self._listed else ".explain.ipynb"))

    def _put_modules(self, folder: Path, root: Path, swapped: AbstractSet[str]) -> None:
        for side in (self._a, self._b):
            for name, (path, _) in side.pipeline.modules.items():
                second = f"module:{name}" in swapped
                if (
                    name in self._b.pipeline.modules
                    and name in self._a.pipeline.modules
                    and second != (side is self._b)
                ):
                    continue
                kept = Path(path).name if path.startswith("..") else path
                target = Path(os.path.normpath(folder / path))
                if target.is_relative_to(root):
                    _copy(side.bundle / "modules" / kept, target)

    def _put_data(self, root: Path, swapped: AbstractSet[str]) -> None:
        for file in self._files:
            if Path(file.path).is_absolute() or Path(file.path).suffix == ".py":
                continue
            source = contents(file, self._root, second=f"data:{file.path}" in swapped)
            if source is not None:
                _copy(source, root / file.path)

    def _fill_listed(self, root: Path) -> None:
        """Names count where a folder was listed: whatever lies in it beside what the stages read and write."""
        known = self._written | {file.path for file in self._files} | {self._b.record.notebook}
        for listed in self._listed:
            if Path(listed).is_absolute():
                continue
            for entry in entries_of(self._root / listed):
                name = str(entry.relative_to(self._root))
                target = root / name
                if name in known or target.exists() or any(path.startswith(f"{name}/") for path in self._written):
                    continue
                if entry.is_dir():
                    target.mkdir(parents=True)
                elif entry.is_file():
                    _copy(entry, target)

    # -- outside

    def _kept(self, path: str) -> Path | None:
        source = Path(path)
        if not source.is_file():
            return None
        kept = self._place / f"outside-{len(list(self._place.iterdir()))}"
        shutil.copy2(source, kept)
        return kept

    def _put_back(self) -> None:
        for path, kept in self._outside.items():
            if kept is None:
                Path(path).unlink(missing_ok=True)
            elif not Path(path).is_file() or Path(path).read_bytes() != kept.read_bytes():
                shutil.copy2(kept, path)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
