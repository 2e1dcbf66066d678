"""Which line of a code changed: a short hash per line, kept beside the parts of a key. Only for reasons; never in a key.

A mark is `PLACE|HASH@LINE,HASH@LINE,…`: lines that hold more than a comment, spaces left out.
"""

from __future__ import annotations

import functools
import zlib


@functools.lru_cache(maxsize=4096)
def mark(place: str, text: str, first: int = 1) -> str:
    """The mark of a code that starts on line `first` of `place`, such as `cell 7` or `helpers.py`."""
    kept = ((number, _bare(line)) for number, line in enumerate(text.splitlines(), first))
    return f"{place}|" + ",".join(
        f"{zlib.crc32(line.encode('utf-8', 'surrogatepass')):x}@{n}" for n, line in kept if line
    )


def changed_place(before: str | None, now: str | None) -> str:
    """Where the code differs, as people say it: `cell 7 line 3`; only `cell 7` where no line is new."""
    if now is None:
        return (before or "").partition("|")[0]
    place, _, text = now.partition("|")
    if before is None:
        return place
    new = [item.partition("@") for item in text.split(",")]
    old = [item.partition("@")[0] for item in before.partition("|")[2].split(",")]
    for (found, _, line), known in zip(new, old, strict=False):
        if found != known:
            return f"{place} line {line}"
    if len(new) > len(old):
        return f"{place} line {new[len(old)][2]}"
    return place


def _bare(line: str) -> str:
    """The line without its comment and its spaces. A `#` in a text that began on an earlier line counts as a comment."""
    if "#" not in line:
        return "".join(line.split())
    quote = ""
    for index, char in enumerate(line):
        if quote:
            quote = "" if char == quote and line[index - 1] != "\\" else quote
        elif char in "'\"":
            quote = char
        elif char == "#":
            line = line[:index]
            break
    return "".join(line.split())
