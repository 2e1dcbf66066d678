"""Symbolic links of a project: a file is recorded by where it really lies, and code asks for it by the link."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from nbpipe.pipeline.contents import HIDDEN

_PACKAGES = frozenset({"site-packages", "node_modules"})


def links_to(project: Path, needed: Iterable[str]) -> dict[str, Path]:
    """Links in the project that lead out of it, or to what is `needed`: path in the project -> where it really leads.

    Paths in `needed` are absolute, or from the project. Not all that is read outside is on record (system folders are
    not), so every link that leads there counts; but one to a folder above the project, which leads back to it.
    """
    places = {Path(os.path.normpath(project / path)) for path in needed}
    reached = places | {parent for place in places for parent in place.parents}
    found: dict[str, Path] = {}
    for folder, folders, files in os.walk(project):
        folders[:] = [name for name in folders if name not in HIDDEN | _PACKAGES]
        for name in (*folders, *files):
            place = Path(folder) / name
            if not place.is_symlink():
                continue
            target = Path(os.path.realpath(place))
            above = project.is_relative_to(target)
            if not above and (target in reached or not target.is_relative_to(project)):
                found[str(place.relative_to(project))] = target
    return found
