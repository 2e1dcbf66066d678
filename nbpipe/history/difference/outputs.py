"""The part `outputs`: what cells printed and showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import msgspec

from nbpipe.history.difference.hunks import counted, hunks_of, whole
from nbpipe.history.difference.images import image_diff
from nbpipe.history.difference.items import LONGEST, Item, items_of
from nbpipe.history.difference.matching import Piece, match
from nbpipe.history.difference.shape import CodeText, StageDiff
from nbpipe.history.difference.shape_values import Change, OutputDiff
from nbpipe.history.difference.sizes import size_text
from nbpipe.history.difference.tables import table_diff, table_of
from nbpipe.history.difference.texts import readable
from nbpipe.history.difference.view import View

#: Bytes of all outputs of a stage that are looked at.
LARGEST = 48_000_000
#: Entries of one stage.
_MOST = 500

Pair = tuple[Item | None, Item | None]


def output_diffs(a: View, b: View, stages: Sequence[StageDiff], *, everything: bool) -> list[OutputDiff]:
    """Stage by stage in the order of B, cell by cell."""
    texts_a = {unit.text.name: unit.text for unit in a.sources().stages}
    texts_b = {unit.text.name: unit.text for unit in b.sources().stages}
    found: list[OutputDiff] = []
    for stage in stages:
        before, after = a.facts(stage.a), b.facts(stage.b)
        if before.identity and before.identity == after.identity and not everything:
            continue
        old, new = (view.executed(name) if name else None for view, name in ((a, stage.a), (b, stage.b)))
        if old is not None and new is not None and old.identity == new.identity != "" and not everything:
            continue
        sizes = [each.size if each is not None else 0 for each in (old, new)]
        if max(sizes) > LARGEST:
            found.append(_too_large(stage, sizes))
            continue
        cells_a = _by_cell(old.read() if old is not None else ())
        cells_b = _by_cell(new.read() if new is not None else ())
        diffs = [
            _diff(stage, cell_a, cell_b, pair)
            for cell_a, cell_b in _cells(texts_a.get(stage.a), texts_b.get(stage.b))
            for pair in _paired(cells_a.get(cell_a, []), cells_b.get(cell_b, []))
        ]
        found += [diff for diff in diffs if everything or diff.change != "same"][:_MOST]
    return found


def _by_cell(executed: Sequence[Mapping[str, Any]]) -> dict[int, list[Item]]:
    found: dict[int, list[Item]] = {}
    for cell in executed:
        number, outputs = cell.get("cell"), cell.get("outputs")
        if isinstance(number, int) and isinstance(outputs, list):
            found.setdefault(number, []).extend(items_of(outputs))
    return found


def _cells(a: CodeText | None, b: CodeText | None) -> list[tuple[int, int]]:
    """Numbers of the cells of a stage on either side, matched by what stands in them; 0 where there is none."""
    old, new = _pieces(a), _pieces(b)
    numbers_a = [start.cell for start in a.cells] if a is not None else []
    numbers_b = [start.cell for start in b.cells] if b is not None else []
    return [
        (numbers_a[pair.a] if pair.a is not None else 0, numbers_b[pair.b] if pair.b is not None else 0)
        for pair in match(old, new)
    ]


def _pieces(text: CodeText | None) -> list[Piece]:
    """The cells of a stage; named by their place, which is how they are told apart where their code changed."""
    if text is None:
        return []
    lines = text.text.split("\n")
    ends = [start.line - 1 for start in text.cells[1:]] + [len(lines)]
    return [
        Piece(str(number), "\n".join(lines[start.line - 1 : end]))
        for number, (start, end) in enumerate(zip(text.cells, ends, strict=True))
    ]


def _paired(a: Sequence[Item], b: Sequence[Item]) -> list[Pair]:
    """Equal ones first; between them, those of one kind in their order."""
    pairs: list[Pair] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            pairs += zip(a[i1:i2], b[j1:j2], strict=True)
            continue
        left = list(a[i1:i2])
        for item in b[j1:j2]:
            other = next((each for each in left if _comparable(each, item)), None)
            if other is not None:
                left.remove(other)
            pairs.append((other, item))
        pairs += [(item, None) for item in left]
    return pairs


def _comparable(a: Item, b: Item) -> bool:
    return a.kind == b.kind and (a.kind == "image" or a.mime == b.mime)


def _diff(stage: StageDiff, cell_a: int, cell_b: int, pair: Pair) -> OutputDiff:
    a, b = pair
    one = b or a
    assert one is not None  # noqa: S101 - a pair has at least one side
    change: Change = "added" if a is None else "removed" if b is None else "same" if a == b else "changed"
    diff = OutputDiff(
        stage=stage.b or stage.a,
        change=change,
        kind=one.kind,
        a_stage=stage.a if stage.b and stage.a != stage.b else "",
        a_cell=cell_a if a is not None else 0,
        b_cell=cell_b if b is not None else 0,
        mime=one.mime,
        a_size=a.size if a is not None else 0,
        b_size=b.size if b is not None else 0,
    )
    if change == "same":
        return diff
    if one.kind == "image":
        return _image(diff, a, b)
    largest = max(diff.a_size, diff.b_size)
    if largest > LONGEST:
        return msgspec.structs.replace(diff, note=f"too large to look into ({size_text(largest)})")
    if one.kind == "table":
        tables = table_of(a.content) if a else None, table_of(b.content) if b else None
        if (a is None or tables[0] is not None) and (b is None or tables[1] is not None):
            table = table_diff(*tables)
            same = change == "changed" and all(row.change == "same" for row in table.rows) and not table.more_rows
            same = same and all(column.change == "same" for column in table.columns)
            return msgspec.structs.replace(diff, table=table, change="same" if same else change)
        diff = msgspec.structs.replace(diff, kind="html")
    return _text(diff, readable(a.content) if a else None, readable(b.content) if b else None)


def _text(diff: OutputDiff, a: str | None, b: str | None) -> OutputDiff:
    hunks = hunks_of(a, b) if a is not None and b is not None else whole(a, b)
    if hunks is None:
        return msgspec.structs.replace(diff, note="too long to compare line by line")
    added, removed = counted(hunks)
    return msgspec.structs.replace(diff, hunks=hunks, lines_added=added, lines_removed=removed)


def _image(diff: OutputDiff, a: Item | None, b: Item | None) -> OutputDiff:
    image, note = image_diff((a.mime, a.content) if a else None, (b.mime, b.content) if b else None)
    change: Change = "same" if diff.change == "changed" and image.pixels == 0 else diff.change
    sizes = [each.size if each is not None else 0 for each in (image.a, image.b)]
    return msgspec.structs.replace(diff, image=image, note=note, change=change, a_size=sizes[0], b_size=sizes[1])


def _too_large(stage: StageDiff, sizes: Sequence[int]) -> OutputDiff:
    return OutputDiff(
        stage=stage.b or stage.a,
        change="changed" if stage.a and stage.b else "added" if stage.b else "removed",
        kind="other",
        a_stage=stage.a if stage.b and stage.a != stage.b else "",
        a_size=sizes[0],
        b_size=sizes[1],
        note=f"too large to look into ({size_text(max(sizes))})",
    )
