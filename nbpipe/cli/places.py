"""Where the project at hand and its store lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nbpipe.errors import UsageError

if TYPE_CHECKING:
    from nbpipe.store import Store


def project_here() -> Path:
    """The project of the current folder."""
    from nbpipe.run.project import find_project

    return find_project(Path())


def store_of_project(location: str | None) -> Store:
    """The store at `location`, else the project's own. Raises UsageError where there is none to look at."""
    from nbpipe.store import open_store

    if location is not None:
        return open_store(location)
    folder = project_here() / ".nbpipe" / "store"
    if not folder.is_dir():
        raise UsageError(
            "there is no store here yet", name=str(folder), fix="Run a notebook first, or name one: --store PLACE"
        )
    return open_store(folder)
