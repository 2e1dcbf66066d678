"""A question to the index: which rows, in which order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nbpipe.errors import UsageError
from nbpipe.history.conditions import SPACES, Column, condition_sql
from nbpipe.history.index import Index
from nbpipe.run.project import Project
from nbpipe.run.renames import stays

if TYPE_CHECKING:
    from nbpipe.history.search import Query, Source

#: Columns that every row has, by the names people use. What is not listed is a metric or a parameter.
NUMBERS = {name: f"rows.{name}" for name in ("number", "started", "ended", "seconds", "warnings")}
TEXTS = {
    "run": "rows.run",
    "kind": "rows.kind",
    "status": "rows.status",
    "notebook": "rows.notebook",
    "pipeline": "rows.pipeline",
    "name": "rows.pipeline",
    "version": "rows.version",
    "stage": "rows.stage",
    "user": "rows.user",
    "commit": 'rows."commit"',
    "source": "rows.source",
    "failure": "rows.failure",
}
#: A local run that MLflow knows, too, is told by its folder.
_IS_HERE = "SELECT 1 FROM rows AS here WHERE here.source = '' AND here.run = rows.own AND here.made = rows.made"
_SOURCES = {
    "local": "rows.source = ''",
    "mlflow": "rows.source = 'mlflow'",
    "auto": f"(rows.source = '' OR NOT EXISTS ({_IS_HERE}))",
}
_NEWEST = "rows.began DESC, rows.counter DESC"


class Selection(NamedTuple):
    """Numbers of the rows of the page, how many there are in all, and names that no row has."""

    ids: list[int]
    total: int
    unknown: tuple[str, ...]


def select(index: Index, query: Query, root: Path, source: Source = "local") -> Selection:
    """The rows that `query` asks for; `root` is what paths of notebooks are relative to. Raises UsageError."""
    if query.offset < 0 or (query.limit is not None and query.limit < 0):
        raise UsageError("a page starts at 0 or later and has 0 rows or more", name="offset")
    names = _Names(index.fields())
    where: list[str] = []
    values: list[Any] = []

    def demand(text: str, *given: Any) -> None:
        where.append(text)
        values.extend(given)

    demand(_SOURCES[source])
    for column, wanted in (("kind", query.kinds), ("status", query.statuses)):
        if wanted:
            demand(f"rows.{column} IN ({', '.join('?' * len(wanted))})", *wanted)
    if query.notebook:
        demand(*_of_notebook(index, query.notebook, root))
    if query.since is not None:
        demand("rows.started >= ?", query.since)
    if query.until is not None:
        demand("rows.started < ?", query.until)
    if query.commit:
        demand('substr(rows."commit", 1, ?) = ?', len(query.commit), query.commit.lower())
    for word in query.text.casefold().split():
        demand("instr((SELECT haystack FROM texts WHERE texts.n = rows.n), ?) > 0", word)
    for tag, text in query.tags.items():
        column = names.resolve("tags", tag).text
        demand(f"{column} = ?", text) if text else demand(f"{column} IS NOT NULL")
    for condition in query.where:
        demand(*_flat(condition_sql(condition, names.resolve)))
    clause, needed = " AND ".join(where), names.joins
    order = _order(query, names)
    found = index.connection.execute(
        f"SELECT rows.n FROM rows {names.joins} WHERE {clause} ORDER BY {order} LIMIT ? OFFSET ?",  # noqa: S608 - made of what this module lists
        (*values, -1 if query.limit is None else query.limit, query.offset),
    )
    ids = [n for (n,) in found]
    # What the rows are only sorted by need not be looked up to count them.
    counted = index.connection.execute(f"SELECT COUNT(*) FROM rows {needed} WHERE {clause}", values)  # noqa: S608 - likewise
    return Selection(ids, counted.fetchone()[0], tuple(sorted(names.unknown)))


def are_here(index: Index, ids: Sequence[int]) -> list[bool]:
    """Whether each row is of a run whose folder is in this project."""
    question = f"SELECT EXISTS ({_IS_HERE}) FROM rows WHERE n = ?"  # noqa: S608 - fixed text
    return [bool(index.connection.execute(question, (n,)).fetchone()[0]) for n in ids]


def _flat(sql: tuple[str, tuple[Any, ...]]) -> tuple[Any, ...]:
    return (sql[0], *sql[1])


def _order(query: Query, names: _Names) -> str:
    """Numbers, then texts, then rows with neither; equal ones newest first."""
    if not query.sort:
        return _NEWEST
    way = "DESC" if query.descending else "ASC"
    if query.sort == "run":
        return f"rows.counter {way}, rows.run {way}"
    space, dot, name = query.sort.partition(".")
    column = names.resolve(space, name) if dot and space in SPACES else names.resolve("", query.sort)
    if query.descending:  # what is missing sorts as the smallest
        return f"{column.num} DESC, {column.text} COLLATE NOCASE DESC, {_NEWEST}"
    return f"{column.num} IS NULL, {column.num}, {column.text} IS NULL, {column.text} COLLATE NOCASE, {_NEWEST}"


def _of_notebook(index: Index, notebook: str, root: Path) -> tuple[Any, ...]:
    """A condition for the rows of a pipeline, or of a notebook under every path that it had, and the values in it."""
    base = root.resolve()
    written = [path for (path,) in index.connection.execute("SELECT DISTINCT notebook FROM rows")]
    condition = "rows.pipeline = ?"
    values: list[Any] = [notebook]
    for stay in stays(Project(base), Path(notebook).resolve()):
        wanted = os.path.normpath(base / stay.path)
        for path in (path for path in written if os.path.normpath(base / path) == wanted):
            condition += " OR (rows.notebook = ? AND rows.began >= ? AND rows.began < ?)"
            values += [path, stay.since, stay.until]
    return f"({condition})", *values


class _Names:
    """What names stand for; remembers those that stand for nothing."""

    def __init__(self, fields: dict[tuple[str, str], int]) -> None:
        self._fields = fields
        self._joined: set[int] = set()
        self.unknown: set[str] = set()

    def resolve(self, space: str, name: str) -> Column:
        if not space and name in NUMBERS:
            return Column(NUMBERS[name], "NULL")
        if not space and name in TEXTS:
            return Column("NULL", TEXTS[name])
        spaces = (space,) if space else ("metrics", "params")
        found = [self._fields[place, name] for place in spaces if (place, name) in self._fields]
        if not found:
            self.unknown.add(f"{space}.{name}" if space else name)
            return Column("NULL", "NULL")
        self._joined |= set(found)
        return Column(_either(found, "num"), _either(found, "text"))

    @property
    def joins(self) -> str:
        """The tables that the names resolved so far stand in."""
        return " ".join(f"LEFT JOIN cells c{n} ON c{n}.field = {n} AND c{n}.n = rows.n" for n in sorted(self._joined))


def _either(fields: list[int], column: str) -> str:
    names = [f"c{field}.{column}" for field in fields]
    return names[0] if len(names) == 1 else f"COALESCE({', '.join(names)})"
