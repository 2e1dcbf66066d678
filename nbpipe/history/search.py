"""Searching the history: which runs, in which order, which page of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from nbpipe.history.alive import Alive, is_alive
from nbpipe.history.refresh import fresh_index
from nbpipe.history.selection import select
from nbpipe.history.summary import Kind, RunSummary, Status
from nbpipe.run.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Page", "Query", "search"]


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


def search(project: Project, query: Query | None = None, *, alive: Alive = is_alive) -> Page:
    """The page of the history that `query` asks for; without one the newest runs.

    Raises UsageError for a condition that does not parse.
    """
    asked = query or Query()
    index = fresh_index(project, alive)
    try:
        chosen = select(index, asked, project.root)
        rows = index.rows(chosen.ids)
        return Page(
            rows=rows,
            total=chosen.total,
            offset=asked.offset,
            metrics=_sorted(index.names("metrics")),
            params=_sorted(index.names("params")),
            tags=_sorted(index.names("tags")),
            unknown=chosen.unknown,
        )
    finally:
        index.close()


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))
