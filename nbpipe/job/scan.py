"""The project's files as they stand: to see what was written where no hook sees it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nbpipe.pipeline.contents import EXPORT_MANIFEST, HIDDEN, listing_digest

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


def _machinery(folder: Path) -> bool:
    if folder.name in _SCHEDULERS or folder.name in {"node_modules", "site-packages"}:
        return True
    return (folder / "pyvenv.cfg").exists() or (folder / EXPORT_MANIFEST).exists()


def digest_listing(folder: Path, *, ignore: Any = ()) -> str:
    """Digest of the names in a folder, without hidden machinery and the paths in `ignore`; "" when there is none."""
    try:
        names = {entry.name for entry in os.scandir(folder) if entry.path not in ignore}
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return listing_digest(names)
