"""Symbolic links of a project: a file is recorded by where it really lies, and code asks for it by the link."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from nbpipe.pipeline.contents import HIDDEN

_PACKAGES = frozenset({"site-packages", "node_modules"})


def links_to(project: Path, needed: Iterable[str]) -> dict[str, Path]:
    """Links in the project that lead to the files or folders `needed`: path in the project -> where it really leads.

    Paths in `needed` are absolute, or from the project.
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
            if target in reached and not project.is_relative_to(target):
                found[str(place.relative_to(project))] = target
    return found
