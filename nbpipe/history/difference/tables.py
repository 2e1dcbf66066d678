"""Tables that libraries show as HTML, read as rows of texts and compared cell by cell. Nothing of the page is kept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import unescape

from nbpipe.history.difference.shape_values import Change, TableColumn, TableDiff, TableRow
from nbpipe.history.difference.texts import readable

#: Rows and columns of one table that are looked at, and rows that travel in a diff.
_MOST_ROWS = 2_000
_MOST_COLUMNS = 200
_SHOWN = 200
_WIDEST_SPAN = 1_000
_LONGEST = 500
_TAGS = frozenset(("tr", "td", "th", "/tr", "/td", "/th"))
_NAME = re.compile(r"/?[a-zA-Z]+")
_DIGITS = re.compile(r"[\"']?([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Table:
    """A table: names of columns, and rows as (key, texts)."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    more_rows: int = 0


def table_of(page: str) -> Table | None:
    """The one table of a page; None where there is none, or several."""
    reader = _Reader()
    reader.feed(page)
    if reader.tables != 1 or not (reader.head or reader.body):
        return None
    body = [_spread(row) for row in _down(reader.body)]
    keys = _leading(body)
    head = [_spread(row) for row in _down(reader.head)]
    width = max((len(row) for row in (*head, *body)), default=0)
    # A row of the head that names only the index says nothing about columns.
    named = [row for row in head if any(cell.text for cell in row[keys:])] or head
    names = [
        " / ".join(dict.fromkeys(row[at].text for row in named if at < len(row) and row[at].text)) or str(at - keys)
        for at in range(keys, min(width, keys + _MOST_COLUMNS))
    ]
    rows = [
        (
            " / ".join(cell.text for cell in row[:keys]) or str(number),
            tuple(cell.text for cell in row[keys : keys + len(names)]),
        )
        for number, row in enumerate(body)
    ]
    return Table(_distinct(names), tuple(rows), reader.more)


def table_diff(a: Table | None, b: Table | None) -> TableDiff:
    """Cell by cell: columns are matched by name, rows by their keys where these are unique, else by their place."""
    old, new = a or Table((), ()), b or Table((), ())
    names = _merged(old.columns, new.columns)
    columns = tuple(
        TableColumn(name=name, change=_presence(name in old.columns, name in new.columns)) for name in names
    )
    rows = []
    cells = 0
    for key, left, right in _matched(old, new):
        before, after = _laid_out(left, old.columns, names), _laid_out(right, new.columns, names)
        differing = sum(x != y for x, y in zip(before, after, strict=True) if x is not None and y is not None)
        change = _presence(left is not None, right is not None)
        if change == "same" and before != after:
            change = "changed"
        cells += differing if change == "changed" else 0
        rows.append(
            TableRow(key=key, change=change, a=before if left is not None else (), b=after if right is not None else ())
        )
    if len(rows) > _SHOWN:
        rows = [row for row in rows if row.change != "same"]
    more = max(len(rows) - _SHOWN, 0) + max(old.more_rows, new.more_rows)
    return TableDiff(columns=columns, rows=tuple(rows[:_SHOWN]), cells_changed=cells, more_rows=more)


def _matched(a: Table, b: Table) -> list[tuple[str, tuple[str, ...] | None, tuple[str, ...] | None]]:
    old, new = dict(a.rows), dict(b.rows)
    if len(old) == len(a.rows) and len(new) == len(b.rows):
        keys = _merged([key for key, _ in a.rows], [key for key, _ in b.rows])
        return [(key, old.get(key), new.get(key)) for key in keys]
    count = max(len(a.rows), len(b.rows))
    sides = [[*table.rows, *[None] * (count - len(table.rows))] for table in (a, b)]
    return [
        ((right or left or ("", ()))[0], left[1] if left else None, right[1] if right else None)
        for left, right in zip(*sides, strict=True)
    ]


def _merged(a: Sequence[str], b: Sequence[str]) -> list[str]:
    """All of B in its order; what only A has comes after what stood before it there."""
    found = list(b)
    there = set(b)
    at = 0
    places = {name: place for place, name in enumerate(found)}
    extra: dict[int, list[str]] = {}
    for name in a:
        if name in there:
            at = places[name] + 1
        else:
            extra.setdefault(at, []).append(name)
    return [name for place in range(len(found) + 1) for name in (*extra.get(place, ()), *found[place : place + 1])]


def _laid_out(row: tuple[str, ...] | None, columns: Sequence[str], names: Sequence[str]) -> tuple[str | None, ...]:
    cells = dict(zip(columns, row or (), strict=False))
    return tuple(cells.get(name) for name in names)


def _presence(in_a: bool, in_b: bool) -> Change:  # noqa: FBT001 - which side is which is the order
    return "same" if in_a and in_b else "added" if in_b else "removed"


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return tuple(found)


@dataclass(slots=True)
class _Cell:
    head: bool
    columns: int = 1
    rows: int = 1
    text: str = ""


@dataclass(slots=True)
class _Row:
    cells: list[_Cell] = field(default_factory=list)


def _spread(cells: list[_Cell]) -> list[_Cell]:
    """One cell per column, as many as are looked at."""
    return [cell for cell in cells for _ in range(cell.columns)][: _MOST_COLUMNS + 10]


def _down(rows: list[_Row]) -> list[list[_Cell]]:
    """Rows in which cells that reach further down stand again."""
    hanging: dict[int, tuple[int, _Cell]] = {}
    found = []
    for row in rows:
        line: list[_Cell] = []
        own = iter(row.cells)
        at = 0
        while True:
            if at in hanging and hanging[at][0]:
                left, cell = hanging[at]
                hanging[at] = (left - 1, cell)
            else:
                following = next(own, None)
                if following is None:
                    break
                cell = following
                hanging[at] = (cell.rows - 1, cell)
            line.append(cell)
            at += 1
        found.append(line)
    return found


def _leading(body: list[list[_Cell]]) -> int:
    """How many columns the keys take: cells at the beginning of every row that are heads."""
    counts = []
    for row in body:
        count = 0
        while count < len(row) and row[count].head:
            count += 1
        counts.append(count)
    return min(counts, default=0)


class _Reader:
    """Collects the texts of cells. Markup inside of them is passed over, whatever it is."""

    def __init__(self) -> None:
        self.tables = 0
        self.head: list[_Row] = []
        self.body: list[_Row] = []
        self.more = 0
        self._in_head = False
        self._row: _Row | None = None
        self._cell: _Cell | None = None
        self._texts: list[str] = []

    def feed(self, page: str) -> None:
        """Read a whole page, once through: what others made may be odd, it must not take long."""
        page = readable(page)
        at = 0
        while True:
            start = page.find("<", at)
            if start < 0:
                break
            if self._cell is not None and start > at:
                self._texts.append(page[at:start])
            comment = page.startswith("<!--", start)
            end = page.find("-->" if comment else ">", start)
            if end < 0:
                break
            at = end + (3 if comment else 1)
            if not comment:
                self._tag(page[start + 1 : end])
        self._end_row()

    def _tag(self, text: str) -> None:
        tag = text if text in _TAGS else _name(text)
        if tag in ("td", "th") and self._row is not None:
            self._end_cell()
            self._cell = _Cell(tag == "th")
            if "span" in text:
                self._cell = _Cell(tag == "th", _span(text, "colspan"), _span(text, "rowspan"))
        elif tag in ("/td", "/th"):
            self._end_cell()
        elif tag == "tr":
            self._end_row()
            self._row = _Row()
        elif tag in ("/tr", "/table"):
            self._end_row()
        elif tag == "table":
            self.tables += 1
        elif tag in ("thead", "/thead"):
            self._end_row()
            self._in_head = tag == "thead"

    def _end_cell(self) -> None:
        if self._cell is not None and self._row is not None:
            text = "".join(self._texts)[: 4 * _LONGEST]
            if "&" in text:
                text = readable(unescape(text))
            self._cell.text = " ".join(text.split())[:_LONGEST]
            self._row.cells.append(self._cell)
        self._cell = None
        self._texts = []

    def _end_row(self) -> None:
        self._end_cell()
        if self._row is not None and self._row.cells:
            rows = self.head if self._in_head else self.body
            if len(rows) < _MOST_ROWS:
                rows.append(self._row)
            else:
                self.more += 1
        self._row = None


def _name(text: str) -> str:
    name = _NAME.match(text)
    return name[0].lower() if name is not None else ""


def _span(tag: str, name: str) -> int:
    """How many columns or rows a cell takes."""
    at = tag.find(f"{name}=")
    digits = _DIGITS.match(tag, at + len(name) + 1) if at >= 0 else None
    return min(max(int(digits[1]), 1), _WIDEST_SPAN) if digits is not None else 1
