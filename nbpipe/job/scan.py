"""The project's files as they stand: to see what was written where no hook sees it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from nbpipe.pipeline.contents import EXPORT_MANIFEST, HIDDEN, listing_digest, names_without

#: Where schedulers keep what is their own.
_SCHEDULERS = frozenset({".snakemake", ".dvc", ".metaflow"})


def scan(project: Path) -> dict[str, tuple[int, int, int]]:
    """Size, mtime in ns and inode of every file of the project, without environments and what schedulers write."""
    found = {}
    for folder, folders, names in os.walk(project):
        folders[:] = [name for name in folders if name not in HIDDEN and not _machinery(Path(folder) / name)]
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118
            try:
                stat = os.lstat(path)
            except FileNotFoundError:
                continue
            found[path] = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    return found


def size_of(path: str) -> int:
    """In bytes; 0 where there is no such file."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _machinery(folder: Path) -> bool:
    if folder.name in _SCHEDULERS or folder.name in {"node_modules", "site-packages"}:
        return True
    return (folder / "pyvenv.cfg").exists() or (folder / EXPORT_MANIFEST).exists()


def digest_listing(folder: Path, *, wrote: Mapping[str, bool], made: Collection[str] = ()) -> str:
    """Digest of the names in a folder as they were before the stage; "" when there was none, and is none.

    `wrote`: paths that the stage wrote or removed, and whether they were there before; `made`: folders that it made.
    """
    inside = {Path(path): there for path, there in wrote.items() if path.startswith(f"{folder}{os.sep}")}
    own = {Path(path) for path in made if path.startswith(f"{folder}{os.sep}")}
    own |= {path for path, there in inside.items() if not there}
    names = {path.relative_to(folder).parts[0] for path, there in inside.items() if there}
    try:
        names |= names_without(folder.iterdir(), own)
    except (FileNotFoundError, NotADirectoryError):
        return listing_digest(names) if names else ""
    return listing_digest(names)
