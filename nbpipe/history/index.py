"""Rows of the history in an SQLite file, so that thousands of runs are filtered and sorted at once.

It is never the truth: it may be deleted at any time, and a row counts only for the very folder it was made from. One
that cannot be read or written (a read-only place, a file of rubbish) is made again in memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from nbpipe.history.summary import RunSummary

#: Raised with every change of the tables, of `RunSummary` or of what a journal means; another version is made anew.
SCHEMA = 5

Space = Literal["metrics", "params", "tags"]

_TABLES = """
CREATE TABLE stamps (place TEXT PRIMARY KEY, stamp TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rows (
    n INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE, inode INTEGER NOT NULL, changed INTEGER NOT NULL,
    finished INTEGER NOT NULL, began REAL NOT NULL, counter INTEGER NOT NULL, kind TEXT, status TEXT, notebook TEXT, pipeline TEXT,
    version TEXT, number INTEGER, stage TEXT, started REAL, ended REAL, seconds REAL, warnings INTEGER, user TEXT,
    "commit" TEXT, source TEXT, failure TEXT, own TEXT NOT NULL, made INTEGER NOT NULL
);
CREATE TABLE bodies (n INTEGER PRIMARY KEY, row BLOB NOT NULL);
CREATE TABLE texts (n INTEGER PRIMARY KEY, haystack TEXT NOT NULL);
CREATE INDEX newest ON rows (kind, began DESC, counter DESC, source);
CREATE INDEX unfinished ON rows (kind) WHERE finished = 0 AND source = '';
CREATE INDEX remote ON rows (began) WHERE source = 'mlflow';
CREATE TABLE fields (field INTEGER PRIMARY KEY, space TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (space, name));
CREATE TABLE cells (field INTEGER, n INTEGER, num, text, PRIMARY KEY (field, n)) WITHOUT ROWID;
CREATE INDEX cells_of ON cells (n);
"""
_COLUMNS = 23
_DECODER = msgspec.json.Decoder(RunSummary)
_LARGEST = 2**63
#: Ids in one question; SQLite's statements have a limited length.
_PART = 2000


class Known(NamedTuple):
    """What a row was made from: a folder made anew under the same name is another run."""

    inode: int
    #: Time of the last change of the folder's list of files, nanoseconds; negative while it may not be the last one.
    changed: int


class Entry(NamedTuple):
    """A row to keep."""

    summary: RunSummary
    known: Known = Known(0, 0)
    #: When it was made, milliseconds: tells whether a row of a server is a local run, known by the same name.
    made: int = 0


class Index:
    """An open index.

    Responsibilities: keeps rows, their cells and the stamps of the places they come from. Must not: read runs, nor
    know what a question means.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        if connection.execute("PRAGMA user_version").fetchone()[0] != SCHEMA:
            self._create()

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Several questions in this block see one state: nobody's change comes between them."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("COMMIT")

    def stamp(self, place: str) -> str:
        """What `put` was told of a place; "" for nothing."""
        found = self.connection.execute("SELECT stamp FROM stamps WHERE place = ?", (place,)).fetchone()
        return str(found[0]) if found else ""

    def known(self, kind: str) -> dict[str, Known]:
        """What the local rows of a kind were made from."""
        found = self.connection.execute("SELECT run, inode, changed FROM rows WHERE kind = ? AND source = ''", (kind,))
        return {run: Known(inode, changed) for run, inode, changed in found}

    def unfinished(self, kind: str) -> list[RunSummary]:
        """Local rows whose runs may still change."""
        # SQLite would rather walk along all rows of the kind.
        question = "SELECT row FROM rows INDEXED BY unfinished JOIN bodies USING (n) WHERE finished = 0 AND source = '' AND kind = ?"
        return [_DECODER.decode(row) for (row,) in self.connection.execute(question, (kind,))]

    def remote(self, since: float = 0.0) -> list[str]:
        """Names of the rows that were read from a server and that began then or later."""
        question = "SELECT run FROM rows WHERE source = 'mlflow' AND began >= ?"
        return [run for (run,) in self.connection.execute(question, (since,))]

    def changed(self, entries: Iterable[Entry]) -> list[Entry]:
        """Those of the server's rows that are new or say something else now."""
        rows = dict(self.connection.execute("SELECT run, row FROM rows JOIN bodies USING (n) WHERE source = 'mlflow'"))
        return [entry for entry in entries if rows.get(entry.summary.run) != msgspec.json.encode(entry.summary)]

    def put(
        self, entries: Iterable[Entry], *, gone: Iterable[str] = (), stamps: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Add or replace rows, take others away, and remember stamps: all of it or nothing."""
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            entries = list(entries)
            self._remove([*gone, *(entry.summary.run for entry in entries)])
            fields = {
                (space, name): field
                for field, space, name in self.connection.execute("SELECT field, space, name FROM fields")
            }
            cells: list[tuple[Any, ...]] = []
            for entry in entries:
                marks = ", ".join("?" * _COLUMNS)
                made = self.connection.execute(f"INSERT INTO rows VALUES (NULL, {marks})", _values(entry))  # noqa: S608 - marks only
                row = entry.summary
                self.connection.execute("INSERT INTO bodies VALUES (?, ?)", (made.lastrowid, msgspec.json.encode(row)))
                self.connection.execute("INSERT INTO texts VALUES (?, ?)", (made.lastrowid, _haystack(row)))
                for space, name, value in _cells(row):
                    field = fields.get((space, name))
                    if field is None:
                        new = self.connection.execute("INSERT INTO fields VALUES (NULL, ?, ?)", (space, name))
                        field = fields[space, name] = new.lastrowid or 0
                    cells.append((field, made.lastrowid, *_typed(value)))
            self.connection.executemany("INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?)", cells)
            self.connection.executemany("INSERT OR REPLACE INTO stamps VALUES (?, ?)", list(stamps))

    def rows(self, numbers: Sequence[int]) -> tuple[RunSummary, ...]:
        """The rows with these numbers, in this order."""
        found: dict[int, bytes] = {}
        for start in range(0, len(numbers), _PART):
            some = ",".join(str(int(n)) for n in numbers[start : start + _PART])
            found.update(self.connection.execute(f"SELECT n, row FROM bodies WHERE n IN ({some})"))  # noqa: S608 - integers only
        return tuple(_DECODER.decode(found[n]) for n in numbers)

    def fields(self) -> dict[tuple[str, str], int]:
        """Number of each metric, parameter and tag."""
        found = self.connection.execute("SELECT space, name, field FROM fields")
        return {(space, name): field for space, name, field in found}

    def names(self, space: Space) -> list[str]:
        """Names of the metrics, parameters or tags that some row has."""
        question = (
            "SELECT name FROM fields f WHERE space = ? AND EXISTS (SELECT 1 FROM cells c WHERE c.field = f.field)"
        )
        return [name for (name,) in self.connection.execute(question, (space,))]

    def _remove(self, runs: Sequence[str]) -> None:
        for run in runs:
            found = self.connection.execute("SELECT n FROM rows WHERE run = ?", (run,)).fetchone()
            if found:
                for table in ("cells", "bodies", "texts", "rows"):
                    self.connection.execute(f"DELETE FROM {table} WHERE n = ?", found)  # noqa: S608 - one of four

    def _create(self) -> None:
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            if self.connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA:
                return  # somebody else has just made it
            for (table,) in self.connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ).fetchall():
                self.connection.execute('DROP TABLE "{}"'.format(table.replace('"', '""')))
            for statement in _TABLES.split(";"):
                self.connection.execute(statement)
            self.connection.execute(f"PRAGMA user_version = {SCHEMA}")


def open_index(path: Path) -> Index:
    """The index at `path`, made if need be. Raises sqlite3.Error or OSError where that cannot be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A cache need not survive the machine's crash: no waiting for the disk.
    connection = sqlite3.connect(path, timeout=5, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        return Index(connection)
    except sqlite3.Error:
        connection.close()
        raise


def memory_index(like: Index | None = None) -> Index:
    """An index in memory; a copy of `like`, if that is given."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    if like is not None:
        like.connection.backup(connection)
    return Index(connection)


def _values(entry: Entry) -> tuple[Any, ...]:
    row, known, made = entry
    digits = row.run.partition("@")[0].lstrip("rt")
    counter = int(digits) if digits.isdigit() and len(digits) < 16 else 0  # noqa: PLR2004 - fits into an integer
    failure = row.failure.message if row.failure is not None else ""
    began = row.started or abs(known.changed) / 1e9
    place = (row.run, known.inode, known.changed, row.finished, began, counter)
    head = (row.kind, row.status, row.notebook, row.name, row.version, row.number, row.stage)
    middle = (row.started, row.ended, row.seconds, row.warnings, row.user)
    own = row.run.partition("@")[0]
    return (*place, *head, *middle, row.commit, row.source, failure, own, made)


def _haystack(row: RunSummary) -> str:
    """What free text is searched in, folded."""
    words = [row.run, row.status, row.kind, row.name, row.notebook, row.stage, row.user, row.version[:12], row.commit]
    words += [f"{name}={_text(value)}" for name, value in (*row.params.items(), *row.tags.items())]
    words += [*row.broken, row.failure.message if row.failure is not None else ""]
    return "\n".join(words).casefold()


def _cells(row: RunSummary) -> Iterator[tuple[Space, str, Any]]:
    for name, number in row.metrics.items():
        yield "metrics", name, number
    for name, value in row.params.items():
        yield "params", name, value
    for name, text in row.tags.items():
        yield "tags", name, text


def _typed(value: Any) -> tuple[float | None, str | None]:
    """A value as a number or as a text. Truth is 1 or 0; an integer beyond 64 bits is a text."""
    if isinstance(value, (int, float)) and abs(value) < _LARGEST:
        return value, None
    return (value, None) if isinstance(value, float) else (None, _text(value))


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value, enc_hook=repr).decode()
