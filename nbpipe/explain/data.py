"""Files that the metric's stages read from outside the pipeline: which differ, and whose contents can still be had."""

from __future__ import annotations

import os
from pathlib import Path

from nbpipe.explain.side import Side
from nbpipe.model import Value
from nbpipe.pipeline.contents import HIDDEN, digest_file
from nbpipe.store import Store


class DataFile(Value, frozen=True, kw_only=True):
    """A file as the two runs read it, by digest: "" where it was not there, None where the run did not read it."""

    path: str
    before: str | None = None
    after: str | None = None
    #: Where the contents of each side lie; None where they are gone.
    sources: tuple[Path | None, Path | None] = (None, None)

    @property
    def differs(self) -> bool:
        """Both read it, and not the same."""
        return self.before is not None and self.after is not None and self.before != self.after

    @property
    def swappable(self) -> bool:
        """It differs, and both contents can be had."""
        return self.differs and all(
            not digest or source is not None
            for digest, source in zip((self.before, self.after), self.sources, strict=True)
        )


def data_files(a: Side, b: Side, root: Path, store: Store) -> list[DataFile]:
    """All such files of both runs, by path. Folders that were only listed are not among them."""
    before, after = _reads(a), _reads(b)
    listed = _listed_anew(a, b)
    found = []
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if folder_of(path) in listed:
            # The folder was listed by both, with other names in it: where a run did not read it, it was not there.
            old, new = old or "", new or ""
        sources = (_source(root / path, old, store), _source(root / path, new, store))
        found.append(DataFile(path=path, before=old, after=new, sources=sources))
    return found


def folder_of(path: str) -> str:
    """The folder a relative path lies in, as it is recorded where it was listed."""
    parent = str(Path(path).parent)
    return "./" if parent == "." else f"{parent}/"


def listed_folders(a: Side, b: Side) -> set[str]:
    """Folders whose names were looked at, with a slash at the end."""
    return {path for side in (a, b) for path in _all_reads(side) if path.endswith("/")}


def named_files(a: Side, b: Side, root: Path) -> list[Path]:
    """Files of the project that the code or a `--reads` names: native code may have read them unseen."""
    found: set[Path] = set()
    for side in (a, b):
        folder = (root / side.record.notebook).parent
        for stage in side.upstream:
            for name in (*stage.flow.file_reads, *stage.options.reads):
                if "://" not in name and not Path(name).is_absolute():
                    found |= _files_of(folder, name)
    return sorted(
        path for path in found if path.is_relative_to(root) and not HIDDEN & set(path.relative_to(root).parts)
    )


def _files_of(folder: Path, name: str) -> set[Path]:
    """Files that a path or pattern names; of a folder, all that is in it."""
    try:
        matches = [Path(os.path.normpath(folder / name)), *folder.glob(name)]
    except (ValueError, NotImplementedError):
        matches = [Path(os.path.normpath(folder / name))]
    whole = [inner for path in matches if path.is_dir() for inner in path.rglob("*")]
    return {path for path in (*matches, *whole) if path.is_file()}


def written_files(a: Side, b: Side) -> set[str]:
    """Files that stages of either run wrote."""
    return {state.path for side in (a, b) for outcome in side.outcomes.values() for state in outcome.files_written}


def entries_of(folder: Path) -> list[Path]:
    """What lies in a folder now, without machinery."""
    try:
        return [entry for entry in folder.iterdir() if entry.name not in HIDDEN]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _reads(side: Side) -> dict[str, str]:
    """Path -> digest at the first read of a file that no stage above had written."""
    return {path: digest for path, digest in _all_reads(side).items() if not path.endswith("/")}


def _all_reads(side: Side) -> dict[str, str]:
    found: dict[str, str] = {}
    written: set[str] = set()
    for stage in side.upstream:
        outcome = side.outcomes.get(stage.name)
        if outcome is not None:
            for state in outcome.files_read:
                if state.path not in written:
                    found.setdefault(state.path, state.digest)
            written |= {state.path for state in outcome.files_written}
    return found


def _listed_anew(a: Side, b: Side) -> set[str]:
    before, after = _all_reads(a), _all_reads(b)
    return {path for path in before.keys() & after.keys() if path.endswith("/") and before[path] != after[path]}


def _source(path: Path, digest: str | None, store: Store) -> Path | None:
    """A file that holds the contents: the one on disk, or an object of the store."""
    if not digest:
        return None
    if digest_file(path) == digest:
        return path
    return store.objects.local_path(digest) if store.objects.has(digest) else None


def contents(file: DataFile, root: Path, *, second: bool) -> Path | None:
    """A file with what stands at the path on one side; None for nothing.

    Where one side's contents are gone, both sides have the other's; where both are, what is there now.
    """
    before, after = file.sources
    if file.swappable:
        return after if second else before
    if "" in {file.before, file.after} and not file.differs:
        return None
    on_disk = root / file.path
    return after or before or (on_disk if on_disk.is_file() else None)
