"""Code and text that changed, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nbpipe.cli.render import BOLD, DIM, PLAIN, Part, paint
from nbpipe.cli.text import count, line, plain

if TYPE_CHECKING:
    from nbpipe.history.difference.shape import CodeDiff
    from nbpipe.history.difference.shape_values import Hunk

OLD = {"fg": "red"}
NEW = {"fg": "green"}
_MOST = 60
#: Share of a line that must be alike for the rest of it to be marked.
_ALIKE = 0.4
_MEANINGS = {"format": "comments and spaces only", "options": "options only", "none": "same code", "code": ""}


def code_lines(code: Sequence[CodeDiff], *, short: bool) -> list[str]:
    """Each piece under its name."""
    found: list[str] = []
    for each in code:
        if found:
            found.append("")
        found.append(paint(_title(each)))
        found += hunk_lines(each.hunks, indent=4, most=_MOST if short else None)
    return found


def hunk_lines(hunks: Sequence[Hunk], *, indent: int, most: int | None) -> list[str]:
    """Places and lines; after `most` lines, how many more there are."""
    found: list[str] = []
    margin = " " * indent
    total = sum(len(hunk.lines) for hunk in hunks)
    shown = 0
    for hunk in hunks:
        if most is not None and shown >= most:
            break
        where = _where(hunk)
        if where:
            found.append(paint([(margin, PLAIN), (where, {"fg": "cyan"})]))
        kept = hunk.lines if most is None else hunk.lines[: most - shown]
        found += [paint([(margin, PLAIN), *parts]) for parts in _marked(kept)]
        shown += len(kept)
    if shown < total:
        found.append(paint([(f"{margin}… {count(total - shown, 'more line')}: --all", DIM)]))
    return found


def _title(code: CodeDiff) -> list[Part]:
    name = line(code.name)
    if code.change == "renamed" and code.a is not None:
        name = f"{line(code.a.name)} → {name}"
    kind = "" if code.unit == "stage" else f"{code.unit} " if code.unit != "setup" else ""
    path = next((side.path for side in (code.b, code.a) if side is not None and side.path), "")
    words = [word for word in (code.change if code.change != "changed" else "", _MEANINGS[code.meaning]) if word]
    told = f"   {', '.join(words)}" if words else ""
    used = f"   used by {line(', '.join(code.stages))}" if code.stages and code.unit != "setup" else ""
    sizes: list[Part] = [(f"   +{code.lines_added}", NEW), (f" −{code.lines_removed}", OLD)]
    return [
        ("  ", PLAIN),
        (kind, DIM),
        (name, BOLD),
        (f" {line(path)}" if path else "", DIM),
        *sizes,
        (told + used, DIM),
    ]


def _where(hunk: Hunk) -> str:
    if hunk.b_cell:
        return f"cell {hunk.b_cell}, line {hunk.b_line}"
    if hunk.a_cell:
        return f"cell {hunk.a_cell}, line {hunk.a_line}"
    return f"line {max(hunk.b_start, 1)}" if hunk.b_start > 1 or hunk.a_start > 1 else ""


def _marked(lines: Sequence[str]) -> list[list[Part]]:
    """Lines in their colours; where one line became one other, what differs in it stands out."""
    found: list[list[Part]] = []
    at = 0
    while at < len(lines):
        old = _run(lines, at, "-")
        new = _run(lines, at + old, "+")
        if old and old == new:
            pairs = [_pair(lines[at + n][1:], lines[at + old + n][1:]) for n in range(old)]
            found += [[("- ", OLD), *left] for left, _ in pairs] + [[("+ ", NEW), *right] for _, right in pairs]
            at += old + new
            continue
        style = {"-": OLD, "+": NEW}.get(lines[at][0], DIM)
        found.append([(f"{lines[at][0]} {_shown(lines[at][1:])}", style)])
        at += 1
    return found


def _run(lines: Sequence[str], start: int, mark: str) -> int:
    size = 0
    while start + size < len(lines) and lines[start + size][0] == mark:
        size += 1
    return size


def _pair(old: str, new: str) -> tuple[list[Part], list[Part]]:
    old, new = _shown(old), _shown(new)
    head = next((n for n, (x, y) in enumerate(zip(old, new, strict=False)) if x != y), min(len(old), len(new)))
    most = min(len(old), len(new)) - head
    tail = next((n for n in range(most) if old[-1 - n] != new[-1 - n]), most)
    if (head + tail) < _ALIKE * max(len(old), len(new)):
        return [(old, OLD)], [(new, NEW)]
    return _parts(old, head, tail, OLD), _parts(new, head, tail, NEW)


def _parts(text: str, head: int, tail: int, style: dict[str, str]) -> list[Part]:
    end = len(text) - tail
    strong = {**style, "bold": True, "underline": True}
    return [(text[:head], style), (text[head:end], strong), (text[end:], style)]


def _shown(text: str) -> str:
    return plain(text).replace("\n", " ").expandtabs(4)
