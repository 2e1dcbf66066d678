"""A project of its own for making a run again, somewhere else, for a while."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nbpipe.errors import StoreError
from nbpipe.reproduce.inputs import Inputs
from nbpipe.run.earlier import BUNDLE
from nbpipe.run.journal import JOURNAL
from nbpipe.run.project import Project
from nbpipe.run.record import RECORD

#: The run that is made again, as the scratch project knows it: its parameters are asked for by this name.
BEFORE = "r1"


@contextmanager
def scratch_project() -> Iterator[Project]:
    """An empty project in the folder for temporary files; nothing of it is left afterwards.

    Raises StoreError where none can be made.
    """
    try:
        root = Path(tempfile.mkdtemp(prefix="nbpipe-reproduce-")).resolve()
    except OSError as error:
        raise StoreError(
            f"there is no folder for temporary files: {error.strerror or error}", fix="Name one with room in TMPDIR."
        ) from error
    try:
        # What marks a project, and is no file that a notebook would find there.
        (root / ".git").mkdir()
        yield Project(root)
    finally:
        _remove(root)


def fill(scratch: Project, project: Path, run: Path, notebook: str, source: Path, inputs: Inputs) -> Path:
    """Put the notebook, the inputs and the run's own record in place; returns the notebook's path.

    `project` is the folder of the project, `run` that of the run, `notebook` the notebook's path in the project, `source`
    its copy in the bundle. Files are copied, never linked: what a stage does to them must not reach the originals.
    Raises StoreError where there is no room.
    """
    target = _inside(scratch, notebook)
    try:
        for folder in sorted(inputs.folders):
            _inside(scratch, folder).mkdir(parents=True, exist_ok=True)
        for path, place in inputs.files.items():
            copy = _inside(scratch, path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(place, copy)
        for path, place in sorted(inputs.links.items()):
            link = _inside(scratch, path)
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(scratch.root / place.relative_to(project) if place.is_relative_to(project) else place)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        before = scratch.runs / BEFORE
        before.mkdir(parents=True)
        for name in (JOURNAL, RECORD):
            shutil.copyfile(run / name, before / name)
    except OSError as error:
        raise StoreError(
            f"the run cannot be laid out in {scratch.root}: {error.strerror or error}",
            name=str(scratch.root),
            fix="Name a folder with room in TMPDIR.",
        ) from error
    return target


def bundled_modules(run: Path, folder: str, paths: tuple[str, ...]) -> dict[str, Path]:
    """Path in the project -> copy in the bundle, of local modules; `folder` is the notebook's, `paths` are from there."""
    found: dict[str, Path] = {}
    root = (run / BUNDLE / "modules").resolve()
    for path in paths:
        # A path is data: it must lead neither out of the bundle nor out of the project.
        copy = (root / (Path(path).name if path.startswith("..") else path)).resolve()
        place = os.path.normpath(Path(folder) / path)
        if (
            copy.is_relative_to(root)
            and copy.is_file()
            and not place.startswith("..")
            and not Path(place).is_absolute()
        ):
            found[place] = copy
    return found


def _inside(scratch: Project, path: str) -> Path:
    """The path in the scratch project. Raises StoreError for one that leads out of it: paths are data."""
    place = Path(os.path.normpath(scratch.root / path))
    if not place.is_relative_to(scratch.root):
        raise StoreError(f"{path} does not lie in the project", name=path)
    return place


def _remove(root: Path) -> None:
    """Remove it with all that is in it, also where a stage took the right to write away."""
    try:
        shutil.rmtree(root)
    except PermissionError:
        _open_up(root)
        shutil.rmtree(root)


def _open_up(folder: Path) -> None:
    folder.chmod(0o700)
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            _open_up(Path(entry.path))
