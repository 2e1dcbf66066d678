"""Text for terminals: nothing that came from outside can move the cursor, and people read times, sizes and counts."""

from __future__ import annotations

import re
import unicodedata

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
#: Characters that change how their neighbours are shown, or hide them: C0 and C1 controls, direction marks.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_RESET = "\x1b[0m"
_MINUTE = 60
_HOUR = 3600
_DAY = 86400


def plain(text: str) -> str:
    """The text without escape sequences and control characters; newlines and tabs stay."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n")))


def line(text: str) -> str:
    """`plain`, in one line."""
    return " ".join(plain(text).split())


def coloured(text: str) -> str:
    """The text of a program: its colours stay, everything else an escape sequence can do is taken out.

    A colour that is not taken back ends with the text: what follows is not the program's to paint, or to hide.
    """
    parts: list[str] = []
    end = 0
    last = _RESET
    for match in _COLOURS.finditer(text):
        parts += [plain(text[end : match.start()]), match.group()]
        end = match.end()
        last = match.group()
    return "".join([*parts, plain(text[end:]), "" if last in {_RESET, "\x1b[m"} else _RESET])


def width(text: str) -> int:
    """Columns the text takes in a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in _ESCAPES.sub("", text)
    )


def pad(text: str, columns: int) -> str:
    """The text with spaces up to `columns`."""
    return text + " " * max(columns - width(text), 0)


def cut(text: str, columns: int) -> str:
    """The text, shortened with an ellipsis to `columns`. It must not hold escape sequences."""
    if width(text) <= columns:
        return text
    kept = ""
    for char in text:
        if width(kept + char) > columns - 1:
            break
        kept += char
    return f"{kept}…" if columns > 0 else ""


def duration(seconds: float | None) -> str:
    """`0.3 s`, `12 s`, `1:12`, `2:03:10`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 9.95:  # noqa: PLR2004 - rounds to 10
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}:{whole % _MINUTE:02}"
    return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02}:{whole % _MINUTE:02}"


def ago(then: float, now: float) -> str:
    """`just now`, `5 min ago`, `3 h ago`, `2 days ago`."""
    gone = now - then
    if gone < _MINUTE:
        return "just now"
    if gone < _HOUR:
        return f"{int(gone // _MINUTE)} min ago"
    if gone < _DAY:
        return f"{int(gone // _HOUR)} h ago"
    return count(int(gone // _DAY), "day") + " ago"


def size(number: float) -> str:
    """`512 B`, `1.5 MB`; decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:  # noqa: PLR2004 - rounds to 1000
            return f"{number:.0f} {unit}" if unit == "B" or number >= 99.5 else f"{number:.1f} {unit}"  # noqa: PLR2004
        number /= 1000
    return f"{number:.1f} TB"


def count(number: int, noun: str) -> str:
    """`1 stage`, `3 stages`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def metric(number: float) -> str:
    """At most four significant digits: `0.9213`, `12.5`, `1.2e-05`, `1000`."""
    whole = float(number).is_integer() and abs(number) < 1e15  # noqa: PLR2004 - beyond, floats are not exact anyway
    return str(int(number)) if whole else f"{number:.4g}"


def value(item: object) -> str:
    """A parameter's value as people type it."""
    if isinstance(item, str):
        return line(item)
    import json

    return json.dumps(item, ensure_ascii=False)


def origin(source: str) -> str:
    """Where a result is from: a run, or the question whose answer needed it."""
    before, dash, after = source.removeprefix("explain-").partition("-")
    return f"nbpipe explain {before} {after}" if source.startswith("explain-") and dash else source
