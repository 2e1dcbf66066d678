"""What is outside the pipeline, as it is now: files and environment variables. Reads only."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from nbpipe.pipeline.contents import BELOW, FOLDER, digest_file, digest_folder, files_below, listing_digest
from nbpipe.plan.constraints import VARIABLE

#: A stamp younger than this may hide a second write within the clock's resolution: such files are read again.
_YOUNG = 0.05


class Outside:
    """Digests of files, each read once per stamp (inode, size, mtime, ctime), and of environment variables.

    `variable(name, value)` is the digest of a variable, as the store of the results makes it.
    """

    def __init__(self, project: Path, variable: Callable[[str, str | None], str]) -> None:
        self._project = project
        self._variable = variable
        self._known: dict[str, tuple[tuple[int, int, int, int], str]] = {}

    def digest(self, path: str) -> str:
        """blake3 of what `path` holds, "" if it is not there; of the names in the folder if `path` ends with a slash.

        What ends with `BELOW` stands for no digest, but for the names themselves: `files_below`, with zeros between.

        Relative paths are relative to the project. Of `VARIABLE + name`, the digest of that environment variable.
        """
        if path.startswith(VARIABLE):
            name = path.removeprefix(VARIABLE)
            return self._variable(name, os.environ.get(name))
        target = Path(path) if Path(path).is_absolute() else self._project / path
        if path.endswith(BELOW):
            return "\0".join(files_below(target.parent))
        if path.endswith(FOLDER):
            return digest_folder(target)
        if path.endswith("/"):
            return _listing(target)
        try:
            found = target.stat()
        except (FileNotFoundError, NotADirectoryError):
            return ""
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        known = self._known.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        digest = digest_file(target)
        if time.time() - found.st_mtime > _YOUNG:
            self._known[path] = (stamp, digest)
        return digest


def _listing(folder: Path) -> str:
    try:
        return listing_digest({entry.name for entry in os.scandir(folder)})
    except (FileNotFoundError, NotADirectoryError):
        return ""
