"""Where the project at hand and its store lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nbpipe.errors import UsageError

if TYPE_CHECKING:
    from nbpipe.run.project import Project
    from nbpipe.store import Store


def project_of(path: Path | None = None) -> Project:
    """The project of a notebook or folder; of the current folder by default."""
    from nbpipe.run.project import find_project

    return find_project(path or Path())


def store_of_project(location: str | None) -> Store:
    """The store at `location`, else the project's own. Raises UsageError where there is none to look at."""
    from nbpipe.store import open_store

    place = location or project_of().store
    if "://" not in place and not Path(place).is_dir():
        fix = "Run a notebook first, or name a store: --store PLACE"
        raise UsageError(f"there is no store at {place}", name=place, fix=fix)
    return open_store(place)
