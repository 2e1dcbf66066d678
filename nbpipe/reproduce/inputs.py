"""The files a run started from: which they were, and where their bytes are now. Reads only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nbpipe.model import Outcome
from nbpipe.pipeline.contents import FOLDER, HIDDEN, digest_file, listing_digest
from nbpipe.reproduce.links import links_to
from nbpipe.reproduce.verdict import Obstacle


@dataclass(slots=True)
class Inputs:
    """What has to be in place before the run is made again. Paths are relative to the project."""

    #: Path -> file that holds the bytes it had.
    files: dict[str, Path] = field(default_factory=dict)
    #: Folders that were there: those that stages listed or wrote into.
    folders: set[str] = field(default_factory=set)
    #: Link -> where it really leads, absolute.
    links: dict[str, Path] = field(default_factory=dict)
    #: Files that are not as they were, and of which no copy is left.
    obstacles: list[Obstacle] = field(default_factory=list)
    #: What is not as it was and need not matter, a line each.
    remarks: list[str] = field(default_factory=list)


def find_inputs(
    outcomes: Iterable[Outcome],
    project: Path,
    bundled: Mapping[str, Path],
    kept: Callable[[str], Path | None],
) -> Inputs:
    """The files that the stages of these outcomes, in notebook order, read before any of them wrote them.

    `bundled` are local modules: path -> their copy in the bundle, which is what the run saw. `kept` finds a file with a
    digest somewhere else.
    """
    found = Inputs(files=dict(bundled))
    outcomes = tuple(outcomes)
    listed: dict[str, str] = {}
    for path, digest in _first_reads(outcomes).items():
        if path.endswith(FOLDER):
            found.folders |= {path.removesuffix(FOLDER)} if digest and not Path(path).is_absolute() else set()
        elif path.endswith("/"):
            listed[path] = digest
        elif path not in bundled and digest:
            _file(found, path, digest, project, kept)
    written = {state.path for outcome in outcomes for state in outcome.files_written}
    made = {path for outcome in outcomes for path in outcome.folders}
    parents = {str(Path(path).parent) for path in written} - made
    found.folders |= {path for path in parents | _first_found(outcomes) if not Path(path).is_absolute()}
    found.links = links_to(project, {*written, *found.files, *_first_reads(outcomes)})
    for path, digest in listed.items():
        if not Path(path).is_absolute():
            _folder(found, path, digest, project, written)
    return found


def _first_reads(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """Path -> digest when it was first read, of paths that no stage above had written by then."""
    reads: dict[str, str] = {}
    made: dict[str, str] = {}
    for outcome in outcomes:
        for state in outcome.files_read:
            if made.get(state.path) != state.digest:
                reads.setdefault(state.path, state.digest)
        made |= {state.path: state.digest for state in outcome.files_written}
    return reads


def _first_found(outcomes: Iterable[Outcome]) -> set[str]:
    """Folders that a stage needed, and that no stage above had made."""
    found: set[str] = set()
    made: set[str] = set()
    for outcome in outcomes:
        found |= {*outcome.found} - made
        made |= outcome.folders.keys()
    return found


def _file(found: Inputs, path: str, digest: str, project: Path, kept: Callable[[str], Path | None]) -> None:
    absolute = Path(path).is_absolute()
    place = project / path
    now = digest_file(place)
    if now == digest:
        # What lies outside the project is read where it is.
        found.files |= {} if absolute else {path: place}
        return
    copy = kept(digest) if not absolute else None
    if copy is not None:
        found.files[path] = copy
    else:
        found.obstacles.append(Obstacle(name=path, what="changed since" if now else "is gone"))


def _folder(found: Inputs, path: str, digest: str, project: Path, written: set[str]) -> None:
    """A folder whose names a stage looked at: with the names it had, if that can be told."""
    folder = path.rstrip("/") or "."
    found.folders.add(folder)
    place = project / folder
    names = _names(place)
    own = {Path(name).name for name in written if str(Path(name).parent) == folder}
    match = next((some for some in (names, names - own) if listing_digest(some) == digest), None)
    if match is None:
        found.remarks.append(f"the names in {folder}/ are not those of then: only files that were read are there")
        return
    for name in match - own:
        inside = os.path.normpath(os.path.join(folder, name))  # noqa: PTH118 - `.` must vanish
        if inside in found.links:
            continue
        if (place / name).is_dir():
            found.folders.add(inside)
        elif (place / name).is_file():
            found.files.setdefault(inside, place / name)


def _names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in os.scandir(folder)} - HIDDEN
    except (FileNotFoundError, NotADirectoryError):
        return set()


def changed_variables(outcomes: Iterable[Outcome], digest: Callable[[str, str | None], str]) -> list[str]:
    """Names of the environment variables that the run read and that have another value now."""
    read = {name: value for outcome in outcomes for name, value in outcome.variables.items()}
    return sorted(name for name, value in read.items() if digest(name, os.environ.get(name)) != value)
