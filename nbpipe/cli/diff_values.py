"""Data and outputs that differ, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nbpipe.cli.diff_hunks import NEW, OLD, hunk_lines
from nbpipe.cli.render import BOLD, DIM, PLAIN, Part, paint, table
from nbpipe.cli.text import count, cut, line, metric, size

if TYPE_CHECKING:
    from nbpipe.history.diff import Diff
    from nbpipe.history.difference.shape_values import (
        FieldDiff,
        Figures,
        FileDiff,
        FileVersion,
        ImageDiff,
        OutputDiff,
        Stored,
        TableDiff,
        ValueDiff,
    )

_MOST_LINES = 30
_MOST_FIELDS = 12
_MOST_ROWS = 12
_CELL = 24
_MARKS: dict[str, Part] = {
    "same": (" ", DIM),
    "changed": ("~", {"fg": "yellow"}),
    "added": ("+", NEW),
    "removed": ("-", OLD),
}


def data_lines(diff: Diff, columns: int | None) -> list[str]:
    """Values, then files."""
    found: list[str] = []
    for each in diff.data:
        found.append(paint(_value_title(each), columns))
        found += table([_field(field) for field in each.fields[:_MOST_FIELDS]], columns, indent=4)
        more = max(len(each.fields) - _MOST_FIELDS, 0) + each.more_fields
        if more:
            found.append(paint([(f"    … {count(more, 'more column')}", DIM)], columns))
        # What fits on one line stands in the title.
        if each.hunks and not _one_line(each):
            found += hunk_lines(each.hunks, indent=4, most=_MOST_LINES)
    found += table([_file(file) for file in diff.files if not file.hunks], columns)
    for file in diff.files:
        if file.hunks:
            found += [*table([_file(file)], columns), *hunk_lines(file.hunks, indent=4, most=_MOST_LINES)]
    return found


def _file(file: FileDiff) -> list[list[Part]]:
    return [
        [_MARKS[file.change]],
        [(line(file.path), BOLD)],
        [(f"{file.role} by {line(', '.join(file.stages))}" if file.stages else file.role, DIM)],
        [(_sizes(file.a, file.b), PLAIN)],
    ]


def output_lines(outputs: Sequence[OutputDiff], columns: int | None, *, short: bool) -> list[str]:
    """Cell by cell."""
    found: list[str] = []
    for each in outputs:
        found.append(paint(_output_title(each), columns))
        if each.table is not None:
            found += _table_lines(each.table, columns)
        elif each.kind == "image" and each.image is not None:
            found.append(paint([("    ", PLAIN), (_image(each.image), PLAIN)], columns))
        else:
            found += hunk_lines(each.hunks, indent=4, most=_MOST_LINES if short else None)
    return found


# ---------------------------------------------------------------------------------------------- data


def _value_title(each: ValueDiff) -> list[Part]:
    old, new = _stored(each.a), _stored(each.b)
    shown = [("", PLAIN)] if each.change == "same" else _arrow(old, new)
    note: list[Part] = [(f"   {line(each.note)}", DIM)] if each.note else []
    mark, style = _MARKS[each.change]
    return [
        (f"  {mark} ", style),
        (line(each.stage), DIM),
        (f"  {line(each.name)}", BOLD),
        ("   ", PLAIN),
        *shown,
        *note,
    ]


def _stored(stored: Stored | None) -> str:
    if stored is None:
        return ""
    if stored.preview:
        return cut(line(stored.preview), 60)
    kind = line(stored.type)
    shape = " × ".join(map(str, stored.shape)) or (count(stored.rows, "item") if stored.rows is not None else "")
    return " ".join(word for word in (kind, shape, line(stored.dtype), size(stored.size)) if word)


def _one_line(each: ValueDiff) -> bool:
    return bool(each.a and each.b and each.a.preview and each.b.preview)


def _arrow(old: str, new: str) -> list[Part]:
    if old and new:
        return [(old, OLD), (" → ", DIM), (new, NEW)] if old != new else [(old, PLAIN), (", other contents", DIM)]
    return [(old, OLD)] if old else [(new, NEW)]


def _field(field: FieldDiff) -> list[list[Part]]:
    words = [f"{field.differing} of {field.b.count} differ"] if field.differing and field.b is not None else []
    words += [f"{field.shift:.0%} shifted"] if field.shift else []
    shift = ", ".join(words)
    name = line(field.name) or "values"
    return [
        [_MARKS[field.change]],
        [(cut(name, _CELL), PLAIN)],
        _figures(field.a, field.b),
        [(shift, {"fg": "yellow"})],
    ]


def _figures(a: Figures | None, b: Figures | None) -> list[Part]:
    """What differs in the figures, the most telling ones."""
    if a is None or b is None:
        one = a or b
        assert one is not None  # noqa: S101 - a field has at least one side
        return [(f"{line(one.dtype)}, {count(one.count, 'value')}", OLD if b is None else NEW)]
    pairs = [
        ("", line(a.dtype), line(b.dtype)),
        ("count", str(a.count), str(b.count)),
        ("missing", str(a.missing), str(b.missing)),
        ("mean", _number(a.mean), _number(b.mean)),
        ("std", _number(a.std), _number(b.std)),
        ("min", _number(a.min), _number(b.min)),
        ("max", _number(a.max), _number(b.max)),
        ("distinct", _number(a.distinct), _number(b.distinct)),
        ("most frequent", _top(a), _top(b)),
    ]
    parts: list[Part] = []
    for name, old, new in pairs:
        if old == new:
            continue
        parts += [
            ("  " if parts else "", PLAIN),
            (f"{name} " if name else "", DIM),
            (old, OLD),
            (" → ", DIM),
            (new, NEW),
        ]
    return parts or [("same figures, other values", DIM)]


def _number(number: float | str | None) -> str:
    return "none" if number is None else line(number) if isinstance(number, str) else metric(number)


def _top(figures: Figures) -> str:
    return cut(line(figures.top[0][0]), _CELL) if figures.top else "none"


def _sizes(a: FileVersion | None, b: FileVersion | None) -> str:
    old, new = (size(each.size) if each is not None and each.digest else "nothing" for each in (a, b))
    return f"{old}, other contents" if old == new else f"{old} → {new}"


# ---------------------------------------------------------------------------------------------- outputs


def _output_title(each: OutputDiff) -> list[Part]:
    cell = each.b_cell or each.a_cell
    kind = (
        "printed"
        if each.mime.startswith("stream/stdout")
        else "stderr"
        if each.mime.startswith("stream/")
        else each.kind
    )
    mark, style = _MARKS[each.change]
    told = [word for word in (each.change if each.change in ("added", "removed") else "", line(each.note)) if word]
    return [
        (f"  {mark} ", style),
        (line(each.stage), BOLD),
        (f"  cell {cell}" if cell else "", PLAIN),
        (f"  {kind}", DIM),
        (f"   {', '.join(told)}" if told else "", DIM),
    ]


def _table_lines(found: TableDiff, columns: int | None) -> list[str]:
    rows = [row for row in found.rows if row.change != "same"]
    head: list[list[Part]] = [[("", PLAIN)], [("", PLAIN)]]
    head += [
        [(cut(line(column.name), _CELL), {"fg": "green"} if column.change == "added" else DIM)]
        for column in found.columns
    ]
    body = [head]
    for row in rows[:_MOST_ROWS]:
        blank = (None,) * len(found.columns)
        pairs = zip(row.a or blank, row.b or blank, strict=True)
        body.append(
            [[_MARKS[row.change]], [(cut(line(row.key), _CELL), BOLD)], *(_cell(old, new) for old, new in pairs)]
        )
    told = table(body, columns, indent=4) if rows else []
    more = max(len(rows) - _MOST_ROWS, 0) + found.more_rows
    return told + ([paint([(f"    … {count(more, 'more row')}", DIM)], columns)] if more else [])


def _cell(old: str | None, new: str | None) -> list[Part]:
    left, right = (cut(line(text), _CELL) if text is not None else "" for text in (old, new))
    if old == new:
        return [(left, DIM)]
    return _arrow(left, right)


def _image(image: ImageDiff) -> str:
    sizes = [
        f"{each.width}×{each.height}" if each.width else size(each.size)
        for each in (image.a, image.b)
        if each is not None
    ]
    words = [" → ".join(dict.fromkeys(sizes))]
    if image.pixels is not None and image.share is not None:
        words.append(f"{count(image.pixels, 'pixel')} differ ({image.share:.1%}), by up to {image.largest} of 255")
    return ", ".join(words)
