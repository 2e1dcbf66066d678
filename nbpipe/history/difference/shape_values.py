"""The shape of what is said of values, files and outputs. The rest of the format stands in `shape`."""

from __future__ import annotations

from typing import Literal

import msgspec

Change = Literal["same", "changed", "added", "removed"]


class Shape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of everything in a diff."""


class Hunk(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a unified diff. Lines are counted from 1; a count of 0 stands after line `start`."""

    a_start: int
    a_count: int
    b_start: int
    b_count: int
    #: Notebook cell and line in it of the first line that differs; 0 where the text is not of a cell.
    a_cell: int = 0
    a_line: int = 0
    b_cell: int = 0
    b_line: int = 0
    #: Each starts with " " (both sides), "-" (only A) or "+" (only B).
    lines: tuple[str, ...]


# ---------------------------------------------------------------------------------------------- data


class Stored(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """A value as it is stored. `digest` is of the value: equal ones mean equal values."""

    digest: str
    format: str = ""
    type: str = ""
    #: Bytes.
    size: int = 0
    shape: tuple[int, ...] = ()
    dtype: str = ""
    #: Rows of a table, length of a list.
    rows: int | None = None
    columns: int | None = None
    #: A few characters of a plain value.
    preview: str = ""


class Figures(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """The distribution of one column or array. Times are text (ISO 8601)."""

    dtype: str
    count: int
    missing: int = 0
    #: Different values, where they were counted.
    distinct: int | None = None
    min: float | str | None = None
    max: float | str | None = None
    mean: float | str | None = None
    std: float | None = None
    #: "0.05", "0.25", "0.5", "0.75", "0.95" -> value.
    quantiles: dict[str, float | str | None] = {}
    #: The most frequent values of text, categories and truth values, and how often each occurs.
    top: tuple[tuple[str, int], ...] = ()
    #: Figures are of this many values, taken evenly; 0: of all.
    sampled: int = 0


class FieldDiff(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """A column of a table, a tensor of several, or (with the name "") an array."""

    name: str
    change: Change
    a: Figures | None = None
    b: Figures | None = None
    #: Edges of the histogram that both sides share, and how many values lie between them.
    edges: tuple[float, ...] = ()
    a_bins: tuple[int, ...] = ()
    b_bins: tuple[int, ...] = ()
    #: In how many places the values differ, where both sides have equally many of one type.
    differing: int | None = None
    #: How far the distributions lie apart, 0 to 1: the share of values that would have to move to another bin or category.
    shift: float | None = None


class ValueDiff(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """A value that a stage left."""

    name: str
    change: Change
    #: Stage in B, or in A for what was removed; `a_stage` only where it has another name there.
    stage: str = ""
    a_stage: str = ""
    a: Stored | None = None
    b: Stored | None = None
    fields: tuple[FieldDiff, ...] = ()
    #: Fields that are left out because there are too many of them.
    more_fields: int = 0
    #: Of values that are JSON.
    hunks: tuple[Hunk, ...] = ()
    #: Why it was not looked into: "pickled", "too large (1.2 GB)", …
    note: str = ""


class FileVersion(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """A file's contents; `digest` is "" where it was not there."""

    digest: str = ""
    size: int = 0


class FileDiff(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """A file that stages read or wrote."""

    path: str
    change: Change
    role: Literal["read", "written"] = "read"
    stages: tuple[str, ...] = ()
    a: FileVersion | None = None
    b: FileVersion | None = None
    #: Of small texts that stages wrote, where both versions are kept.
    lines_added: int = 0
    lines_removed: int = 0
    hunks: tuple[Hunk, ...] = ()


# ---------------------------------------------------------------------------------------------- outputs


class TableRow(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """One row; `a` and `b` have a text per column of the table, null where that side has no such column or row."""

    key: str
    change: Change
    a: tuple[str | None, ...] = ()
    b: tuple[str | None, ...] = ()


class TableColumn(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """One column of either side."""

    name: str
    change: Change


class TableDiff(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """Two tables, cell by cell."""

    columns: tuple[TableColumn, ...] = ()
    rows: tuple[TableRow, ...] = ()
    #: Cells that both have and that differ.
    cells_changed: int = 0
    #: Rows that are left out because there are too many of them.
    more_rows: int = 0


class Image(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """One image. `data` is its base64, "" where it is too large to travel."""

    mime: str
    #: Bytes.
    size: int = 0
    width: int = 0
    height: int = 0
    data: str = ""


class ImageDiff(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """Two images. What is said of pixels is null where they could not be compared."""

    a: Image | None = None
    b: Image | None = None
    #: Pixels that differ, their share of all, and the largest difference of a channel (0 to 255).
    pixels: int | None = None
    share: float | None = None
    largest: int | None = None
    #: base64 of a PNG as large as B, transparent but for the pixels that differ.
    mask: str = ""


class OutputDiff(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """One output of a cell."""

    stage: str
    change: Change
    kind: Literal["text", "error", "table", "image", "html", "other"]
    a_stage: str = ""
    #: Notebook cell on either side; 0 where it is not there.
    a_cell: int = 0
    b_cell: int = 0
    mime: str = ""
    #: Bytes.
    a_size: int = 0
    b_size: int = 0
    lines_added: int = 0
    lines_removed: int = 0
    hunks: tuple[Hunk, ...] = ()
    table: TableDiff | None = None
    image: ImageDiff | None = None
    #: Why it was not looked into: "too large (100 MB)", …
    note: str = ""
