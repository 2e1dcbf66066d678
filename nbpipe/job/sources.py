"""Which source files are the user's own."""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import lru_cache
from pathlib import Path

#: nbpipe itself: people work on it in a project of their own.
NBPIPE = str(Path(__file__).resolve().parents[1]) + os.sep


@lru_cache(maxsize=4096)
def is_local(file: str, project: str) -> bool:
    """Whether `file` lies in the folder `project` and belongs to it: no installed package, not nbpipe, not Python."""
    file = os.path.normpath(file) if f"{os.sep}..{os.sep}" in file else file
    if not file.startswith(project.rstrip(os.sep) + os.sep) or f"{os.sep}site-packages{os.sep}" in file:
        return False
    return not file.startswith((NBPIPE, *_python(project)))


@lru_cache(maxsize=8)
def _python(project: str) -> tuple[str, ...]:
    """Folders of an environment that lies in the project."""
    places = {sys.prefix, sys.base_prefix, sysconfig.get_paths()["stdlib"]}
    found = [str(Path(place).resolve()) + os.sep for place in places]
    return tuple(place for place in found if place.startswith(project.rstrip(os.sep) + os.sep))
