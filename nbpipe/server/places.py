"""From a path of the contents manager to a file and its project. Whatever leads out of the lab's folder is not there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_core.utils import ensure_async
from tornado.web import HTTPError

from nbpipe.notebook.reader import TEXT_SUFFIXES
from nbpipe.run.project import Project, find_project
from nbpipe.server.refusals import Refused, not_found

_LONGEST = 1024
_NOTEBOOKS = (".ipynb", *TEXT_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Place:
    """A notebook or folder that may be asked about."""

    #: As the contents manager has it: relative to the lab's folder, without a slash at either end.
    path: str
    #: The same on the disk, links resolved.
    file: Path
    #: The lab's folder, links resolved.
    root: Path
    project: Project

    @property
    def folder(self) -> Path:
        """The folder that the notebook lies in, or the folder itself."""
        return self.file if self.file.is_dir() else self.file.parent

    def contents_path(self, file: Path) -> str | None:
        """The path of a file as the contents manager has it; None for one that it does not show."""
        resolved = file.resolve()
        if not resolved.is_relative_to(self.root):
            return None
        parts = resolved.relative_to(self.root).parts
        return None if any(part.startswith(".") for part in parts) else "/".join(parts)

    def told(self, text: str) -> str:
        """A message without the paths of this machine's disk: what is below the lab's folder has the name it has there."""
        names = {Path.home(): "~", self.root: "", self.file: self.path}
        if not self.project.root.is_relative_to(self.root):
            names[self.project.root] = "…"
        for folder in sorted(names, key=lambda path: -len(path.parts)):
            if folder.name:
                text = _renamed(text, str(folder), names[folder])
        return text


async def place_of(contents: Any, path: str, *, notebook: bool, new: bool = False) -> Place:
    """The place that `path` names. Raises Refused: 404 for what is not there, is hidden or lies outside.

    `notebook`: a folder will not do. `new`: the file need not be there, its folder must.
    """
    clean = _clean(path)
    root = _root(contents)
    file = (root / clean).resolve()
    if not file.is_relative_to(root) or await _hidden(contents, clean):
        raise not_found(f"there is nothing at {path[:200]!r}")
    if notebook:
        if file.suffix not in _NOTEBOOKS:
            raise Refused(400, "usage", f"{path[:200]!r} is not the name of a notebook", fix="Name an .ipynb file.")
        there = await _is(contents.file_exists, clean)
        if not there and new:
            there = not file.exists() and await _is(contents.dir_exists, clean.rpartition("/")[0])
    else:
        there = await _is(contents.file_exists, clean) or await _is(contents.dir_exists, clean)
    if not there:
        raise not_found(f"there is nothing at {path[:200]!r}")
    return Place(clean, file, root, find_project(file if file.is_dir() else file.parent))


def new_file(place: Place, path: str, suffix: str) -> Path:
    """Where a new file is to be written that `path` names. Raises Refused for a place that is not to be written to."""
    clean = _clean(path)
    target = place.root / clean
    folder = target.parent.resolve()
    shown = folder.is_relative_to(place.root) and place.contents_path(folder) is not None
    if not clean or not shown or target.name.startswith(".") or not folder.is_dir():
        raise not_found(f"there is no folder for {path[:200]!r}")
    if target.suffix != suffix:
        raise Refused(400, "usage", f"{path[:200]!r} does not end in {suffix}", name=path[:200])
    return folder / target.name


def new_folder(place: Place, path: str) -> Path:
    """A folder of the lab that `path` names, there or not. Raises Refused for one that is not to be written to."""
    clean = _clean(path)
    target = place.root / clean
    if not clean or place.contents_path(target) is None:
        raise not_found(f"{path[:200]!r} is no folder of this lab")
    resolved = target.resolve()
    if resolved != target or (target.exists() and not target.is_dir()):
        raise Refused(400, "usage", f"{path[:200]!r} is a link or a file, not a folder", name=path[:200])
    return target


def _clean(path: str) -> str:
    """The path without slashes at its ends; one with parts that mean something else is refused."""
    parts = [part for part in path.strip("/").split("/") if part]
    if len(path) > _LONGEST or any(part in (".", "..") or not part.isprintable() for part in parts):
        raise not_found("there is nothing at such a path")
    return "/".join(parts)


def _root(contents: Any) -> Path:
    """The folder of the contents manager. Refused for one that keeps its files elsewhere than on this disk."""
    root = getattr(contents, "root_dir", "")
    if not root or not hasattr(contents, "_get_os_path"):
        fix = "Open the notebook in a lab whose files are on its own disk."
        raise Refused(501, "unsupported", "the files of this lab are not on its disk", fix=fix)
    return Path(root).resolve()


def _renamed(text: str, folder: str, name: str) -> str:
    """The text with another name for a folder and what is in it, but not for a neighbour whose name begins alike."""
    inside = text.replace(f"{folder}/", f"{name}/" if name else "")
    return re.sub(rf"{re.escape(folder)}(?![\w-]|\.\w)", lambda _: name or ".", inside)


async def _hidden(contents: Any, path: str) -> bool:
    if contents.allow_hidden:
        return False
    if any(part.startswith(".") for part in path.split("/")):
        return True
    return await _is(contents.is_hidden, path)


async def _is(question: Any, path: str) -> bool:
    try:
        return bool(await ensure_async(question(path)))
    except (HTTPError, OSError, ValueError):
        return False
