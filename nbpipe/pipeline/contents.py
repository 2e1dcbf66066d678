"""Digests of files and folders: the same wherever a file is looked at. Reads only."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable
from pathlib import Path

import blake3

#: Machinery that is not part of a project's contents.
HIDDEN = frozenset(
    {".nbpipe", ".git", "__pycache__", ".ipynb_checkpoints", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
)

#: The manifest of an exported folder, in which a scheduler keeps what is its own.
EXPORT_MANIFEST = "nbpipe-export.json"

#: Behind the path of a folder: a fact about its being there, and not about the names in it.
FOLDER = "/./"

#: Behind the path of a folder: what `files_below` says of it.
BELOW = "/**/"
#: Not of a stage, wherever they lie.
_INSTALLED = frozenset({"site-packages", "node_modules"})


#: Stands for a folder that is there, where a file has a digest.
THERE = "folder"


def digest_folder(path: Path) -> str:
    """What stands for a folder that is there; "" when there is none."""
    return THERE if path.is_dir() else ""


def digest_file(path: Path) -> str:
    """blake3 of the bytes, in hex; "" when there is no such file."""
    try:
        return blake3.blake3(max_threads=1).update_mmap(path).hexdigest()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return ""


def touches(seen: str, written: str) -> bool:
    """Whether writing there may change what was seen: of a file, of a folder, or of the names in one. As in `FileState`."""
    if seen.endswith("/"):
        folder = seen.removesuffix(FOLDER).rstrip("/")
        return folder in (".", "") or written.startswith(f"{folder}/")
    return seen == written


def files_below(folder: Path) -> set[str]:
    """Paths, relative to a folder, of the files in it and in its folders; without links and hidden machinery."""
    found = set()
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in HIDDEN | _INSTALLED]
        paths = (os.path.join(place, name) for name in names if not name.endswith(".pyc"))  # noqa: PTH118 - many
        found |= {os.path.relpath(path, folder) for path in paths if not os.path.islink(path)}  # noqa: PTH114
    return found


def names_without(entries: Iterable[Path], gone: set[Path]) -> set[str]:
    """Names of those entries of a folder that are not there only because of the files `gone`, which should not be."""
    above = {parent for path in gone for parent in path.parents}

    def only_of_them(entry: Path) -> bool:
        if entry not in above or not entry.is_dir():
            return False
        return all(path in gone for path in entry.rglob("*") if not path.is_dir())

    return {entry.name for entry in entries if entry not in gone and not only_of_them(entry)}


def listing_digest(names: set[str]) -> str:
    """Digest of the names in a folder, hidden machinery left out."""
    return blake3.blake3("\0".join(sorted(names - HIDDEN)).encode("utf-8", "surrogatepass")).hexdigest()


def source_digest(data: bytes) -> str:
    """Digest of what a Python module does: comments and formatting do not count. Of the bytes if it does not parse."""
    try:
        meaning = ast.dump(ast.parse(data)).encode("utf-8", "surrogatepass")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        meaning = data
    return blake3.blake3(meaning).hexdigest()
