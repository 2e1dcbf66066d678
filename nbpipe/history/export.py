"""Rows of the history as CSV, for spreadsheets and other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from nbpipe.history.summary import RunSummary

_FIELDS = ("run", "kind", "status", "notebook", "name", "version", "number", "stage", "started", "ended", "seconds")
_MORE = ("user", "commit", "source")
#: A text that begins like this is computed by spreadsheets.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_text(rows: Sequence[RunSummary]) -> str:
    """A line per row below a line of names; times are seconds since the epoch.

    A text that a spreadsheet would take for a formula has a `'` before it.
    """
    spaces = {space: _names(getattr(row, space) for row in rows) for space in ("params", "metrics", "tags")}
    head = [*_FIELDS, *_MORE, "failure", *(f"{space}.{name}" for space, names in spaces.items() for name in names)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_shown(name) for name in head])
    for row in rows:
        plain = [getattr(row, name) for name in (*_FIELDS, *_MORE)]
        failure = row.failure.message if row.failure is not None else ""
        values = [getattr(row, space).get(name) for space, names in spaces.items() for name in names]
        writer.writerow([_shown(value) for value in (*plain, failure, *values)])
    return out.getvalue()


def _names(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({name for mapping in mappings for name in mapping})


def _shown(value: Any) -> Any:
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"'{text}" if text.startswith(_FORMULA) else text
