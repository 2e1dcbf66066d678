"""Searching the history: which runs, in which order, which page of them."""

from __future__ import annotations

import sqlite3
from typing import Any, Literal

import msgspec

from nbpipe.history.alive import Alive, is_alive
from nbpipe.history.index import Index
from nbpipe.history.refresh import forget, fresh_index
from nbpipe.history.selection import are_here, select
from nbpipe.history.summary import Kind, RunSummary, Status
from nbpipe.run.project import Project
from nbpipe.tracking.mlflow import is_shared

__all__ = ["Page", "Query", "Source", "search"]

Source = Literal["local", "mlflow", "auto"]


class Query(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked for; everything that is given has to hold. Times are seconds since the epoch."""

    #: Words, each of which has to stand somewhere in the row: id, names, status, user, parameters, tags, failure.
    text: str = ""
    #: Path of a notebook, or name of a pipeline.
    notebook: str = ""
    statuses: tuple[Status, ...] = ()
    kinds: tuple[Kind, ...] = ("run",)
    #: Conditions such as "acc > 0.9" or "lr = 0.01 and model = cnn"; see `nbpipe.history.conditions`.
    where: tuple[str, ...] = ()
    #: Started at this time or later.
    since: float | None = None
    #: Started before this time.
    until: float | None = None
    #: First digits of the git commit.
    commit: str = ""
    #: Tags with these values; the value "" is for any.
    tags: dict[str, str] = {}
    #: "" (newest first), a column such as `status` or `seconds`, or `acc`, `metrics.acc`, `params.lr`, `tags.team`.
    sort: str = ""
    #: Rows without a value come last either way.
    descending: bool = True
    offset: int = 0
    #: None for all.
    limit: int | None = 50


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the rows that were found."""

    rows: tuple[RunSummary, ...]
    #: How many were found in all.
    total: int
    offset: int = 0
    #: Names of the metrics, parameters and tags that any row of the history has, sorted: columns to choose from.
    metrics: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    #: Names in `where` and `sort` that no row has: probably a slip of the pen.
    unknown: tuple[str, ...] = ()
    #: What could not be asked, such as a server that is down; the rows are then only the others.
    problems: tuple[str, ...] = ()

    def dataframe(self) -> Any:
        """The rows as a `pandas.DataFrame`: a column per field, `params.NAME`, `metrics.NAME` and `tags.NAME`."""
        from nbpipe.history.frame import frame

        return frame(self.rows)


def search(project: Project, query: Query | None = None, *, source: Source = "local", alive: Alive = is_alive) -> Page:
    """The page of the history that `query` asks for; without one the newest runs.

    `source`: "local" reads this project's folders, "mlflow" the tracking server, "auto" both where
    MLFLOW_TRACKING_URI names a shared one; a run whose folder is here is then told by its folder. Raises UsageError
    for a condition that does not parse. What cannot be asked is among the page's problems.
    """
    asked = query or Query()
    index = fresh_index(project, alive, asked.kinds)
    try:
        return _page(project, index, asked, source)
    except sqlite3.DatabaseError:
        # A file that is damaged somewhere inside is found out by reading it.
        index.close()
        forget(project)
        index = fresh_index(project, alive, asked.kinds)
        return _page(project, index, asked, source)
    finally:
        index.close()


def _page(project: Project, local: Index, asked: Query, source: Source) -> Page:
    if source == "auto" and not is_shared(project.root):
        source = "local"
    if source == "local":
        return _read(project, local, asked, source)
    # What cannot be understood is said before a server is asked.
    select(local, asked, project.root)
    from nbpipe.history.mirror import mirror

    index, problems = mirror(local, project, asked)
    try:
        return msgspec.structs.replace(_read(project, index, asked, source), problems=problems)
    finally:
        if index is not local:
            index.close()


def _read(project: Project, index: Index, asked: Query, source: Source) -> Page:
    with index.reading():
        return _found(project, index, asked, source)


def _found(project: Project, index: Index, asked: Query, source: Source) -> Page:
    chosen = select(index, asked, project.root, source)
    rows = index.rows(chosen.ids)
    if source == "mlflow":
        named = zip(rows, are_here(index, chosen.ids), strict=True)
        rows = tuple(
            msgspec.structs.replace(row, run=row.run.partition("@")[0]) if here else row for row, here in named
        )
    return Page(
        rows=rows,
        total=chosen.total,
        offset=asked.offset,
        metrics=tuple(sorted(index.names("metrics"))),
        params=tuple(sorted(index.names("params"))),
        tags=tuple(sorted(index.names("tags"))),
        unknown=chosen.unknown,
    )
