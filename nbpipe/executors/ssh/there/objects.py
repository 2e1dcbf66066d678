"""What was sent to the other machine and what was computed there, by content."""

from __future__ import annotations

import base64
import contextlib
import os
import time
from typing import Any

_DAY = 86400.0


class Objects:
    """The store's objects below `root`. A name that could be a path is refused with ValueError."""

    def __init__(self, root: str) -> None:
        self._folder = root + "/store/objects"

    def path(self, name: str) -> str:
        """Where one lies, or would lie."""
        if not name.isalnum():
            raise ValueError("not the name of an object")
        return f"{self._folder}/{name[:2]}/{name}"

    def missing(self, names: list[str]) -> list[str]:
        """Which of these are not here; the others are in use from now on."""
        lacking = []
        for name in names:
            path = self.path(name)
            if os.path.isfile(path):
                found = os.stat(path)
                # Once a day: the store hashes a file again whose times have changed.
                if time.time() - max(found.st_atime, found.st_mtime) > _DAY:
                    os.utime(path, ns=(time.time_ns(), found.st_mtime_ns))
            else:
                lacking.append(name)
        return lacking

    def put(self, objects: dict[str, str]) -> None:
        """Keep these, each in base64; what is here already stays."""
        for name, data in objects.items():
            path = self.path(name)
            if not os.path.isfile(path):
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
                scratch = f"{path}.{os.getpid()}"
                with open(scratch, "wb") as file:
                    file.write(base64.b64decode(data))
                    file.flush()
                    os.fsync(file.fileno())
                os.chmod(scratch, 0o444)
                os.replace(scratch, path)

    def get(self, names: list[str], limit: int) -> Any:
        """Those of these that are here, in base64; None if they are more than `limit` bytes."""
        return contents({name: self.path(name) for name in names if os.path.isfile(self.path(name))}, limit)

    def remove(self, names: list[str], *, parts: bool = False) -> None:
        """Remove these, or only what has come of them so far."""
        for name in names:
            folder, last = os.path.split(self.path(name))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{folder}/.part/{last}" if parts else f"{folder}/{last}")

    def sweep(self, before: float) -> None:
        """Remove what nobody has used since."""
        for folder, _, names in os.walk(self._folder):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    found = os.stat(path)
                    if max(found.st_atime, found.st_mtime) < before:
                        os.unlink(path)
                except FileNotFoundError:
                    continue


def contents(paths: dict[str, str], limit: int) -> Any:
    """The files, in base64; None if they are more than `limit` bytes together."""
    if sum(os.path.getsize(path) for path in paths.values()) > limit:
        return None
    found = {}
    for name, path in paths.items():
        with open(path, "rb") as file:
            found[name] = base64.b64encode(file.read()).decode()
    return found


def files_below(base: str, without: list[str]) -> dict[str, str]:
    """Paths of the regular files of a folder, by what they are called from there; `without` are names in it to leave out."""
    found = {}
    for folder, names, files in os.walk(base):
        if folder == base:
            names[:] = [name for name in names if name not in without]
        for name in files:
            path = os.path.join(folder, name)
            if (folder != base or name not in without) and os.path.isfile(path) and not os.path.islink(path):
                found[os.path.relpath(path, base)] = path
    return found


def changed(place: str) -> float:
    """When something was last changed in a folder, as far as it is there: another agent may remove it, a job rewrite it."""
    latest = 0.0
    for path in [place, *(os.path.join(folder, name) for folder, _, names in os.walk(place) for name in ("", *names))]:
        with contextlib.suppress(FileNotFoundError):
            latest = max(latest, os.stat(path).st_mtime)
    return latest or time.time()
