"""Unified hunks of two texts. Pure; applying the hunks of A and B to A gives B."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

import msgspec

from nbpipe.history.difference.shape import CellStart
from nbpipe.history.difference.shape_values import Hunk

CONTEXT = 3
#: Lines that are compared one by one, between the first and the last one that differ; beyond, it would take seconds.
MOST_LINES = 5_000
_AUTOJUNK = 500


def lines_of(text: str) -> list[str]:
    """The lines of a text. Joined by line ends they give it back, so a text that ends with one has an empty last line."""
    return text.split("\n")


def hunks_of(
    a: str, b: str, *, a_cells: Sequence[CellStart] = (), b_cells: Sequence[CellStart] = ()
) -> tuple[Hunk, ...] | None:
    """What differs between two texts, with three lines of context; None where they differ too much to be compared."""
    found = _hunks(lines_of(a), lines_of(b))
    if found is None or not (a_cells or b_cells):
        return found
    return tuple(_placed(hunk, a_cells, b_cells) for hunk in found)


def whole(
    a: str | None, b: str | None, *, a_cells: Sequence[CellStart] = (), b_cells: Sequence[CellStart] = ()
) -> tuple[Hunk, ...]:
    """One hunk that takes all of A away and puts all of B in its place. None stands for a side that is not there."""
    old, new = [] if a is None else lines_of(a), [] if b is None else lines_of(b)
    lines = (*(f"-{line}" for line in old), *(f"+{line}" for line in new))
    hunk = Hunk(a_start=min(1, len(old)), a_count=len(old), b_start=min(1, len(new)), b_count=len(new), lines=lines)
    return (_placed(hunk, a_cells, b_cells),) if lines else ()


def apply_hunks(text: str, hunks: Iterable[Hunk]) -> str:
    """B from A. Raises ValueError where the hunks are not of this text."""
    old = lines_of(text)
    new: list[str] = []
    at = 0
    for hunk in hunks:
        start = hunk.a_start - 1 if hunk.a_count else hunk.a_start
        if start < at:
            raise ValueError("the hunks overlap")
        new += old[at:start]
        kept = [line[1:] for line in hunk.lines if line[0] in " -"]
        if old[start : start + hunk.a_count] != kept or len(kept) != hunk.a_count:
            raise ValueError(f"the hunk at line {hunk.a_start} is of another text")
        new += [line[1:] for line in hunk.lines if line[0] in " +"]
        at = start + hunk.a_count
    return "\n".join(new + old[at:])


def counted(hunks: Iterable[Hunk]) -> tuple[int, int]:
    """Lines that only B has, and only A."""
    marks = [line[0] for hunk in hunks for line in hunk.lines]
    return marks.count("+"), marks.count("-")


def place(line: int, cells: Sequence[CellStart]) -> tuple[int, int]:
    """Notebook cell and line in it of a line of the text; (0, 0) where it is of no cell."""
    start = next((start for start in reversed(cells) if start.line <= line), None)
    return (start.cell, line - start.line + start.first) if start is not None else (0, 0)


def _hunks(a: list[str], b: list[str]) -> tuple[Hunk, ...] | None:
    head = _common(a, b)
    tail = _common(a[head:][::-1], b[head:][::-1])
    middle_a, middle_b = a[head : len(a) - tail], b[head : len(b) - tail]
    if max(len(middle_a), len(middle_b)) > MOST_LINES:
        return None
    # The lines around are equal: what they give as context is all that is needed of them.
    before, after = min(head, CONTEXT), min(tail, CONTEXT)
    low, high_a, high_b = head - before, len(a) - tail + after, len(b) - tail + after
    old, new = a[low:high_a], b[low:high_b]
    matcher = SequenceMatcher(None, old, new, autojunk=len(new) > _AUTOJUNK)
    return tuple(
        _hunk(group, old, new, low)
        for group in matcher.get_grouped_opcodes(CONTEXT)
        if any(o[0] != "equal" for o in group)
    )


def _hunk(group: list[tuple[str, int, int, int, int]], old: list[str], new: list[str], low: int) -> Hunk:
    lines: list[str] = []
    for tag, i1, i2, j1, j2 in group:
        if tag == "equal":
            lines += [f" {text}" for text in old[i1:i2]]
            continue
        lines += [f"-{text}" for text in old[i1:i2]]
        lines += [f"+{text}" for text in new[j1:j2]]
    a_start, a_end, b_start, b_end = group[0][1], group[-1][2], group[0][3], group[-1][4]
    return Hunk(
        a_start=a_start + low + (a_end > a_start),
        a_count=a_end - a_start,
        b_start=b_start + low + (b_end > b_start),
        b_count=b_end - b_start,
        lines=tuple(lines),
    )


def _placed(hunk: Hunk, a_cells: Sequence[CellStart], b_cells: Sequence[CellStart]) -> Hunk:
    """The same with the place of its first line that differs."""
    shared = next((n for n, line in enumerate(hunk.lines) if line[0] != " "), 0)
    a_cell, a_line = place(max(hunk.a_start + shared, 1), a_cells)
    b_cell, b_line = place(max(hunk.b_start + shared, 1), b_cells)
    return msgspec.structs.replace(hunk, a_cell=a_cell, a_line=a_line, b_cell=b_cell, b_line=b_line)


def _common(a: list[str], b: list[str]) -> int:
    """How many lines at the beginning are equal."""
    count = 0
    for left, right in zip(a, b, strict=False):
        if left != right:
            break
        count += 1
    return count
