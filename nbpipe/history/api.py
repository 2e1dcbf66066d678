"""`nbpipe.search`: the history from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbpipe.errors import UsageError
from nbpipe.history import search as searching
from nbpipe.history.search import Page, Query, Source
from nbpipe.run.project import find_project


def search(*where: str, project: str | Path = ".", source: Source = "auto", **question: Any) -> Page:
    """Rows of the history of the project that `project` lies in, newest first.

    `where` are conditions such as "acc > 0.9"; `question` are further fields of `nbpipe.Query`: `sort`, `limit`,
    `statuses`, … The page's `dataframe()` has all that a row has. Raises UsageError for what is not understood.
    """
    unknown = set(question) - set(Query.__struct_fields__)
    if unknown:
        names = ", ".join(Query.__struct_fields__)
        raise UsageError(f"there is no question about {min(unknown)!r}", fix=f"Ask for: {names}")
    return searching.search(find_project(Path(project)), Query(where=where, **question), source=source)
