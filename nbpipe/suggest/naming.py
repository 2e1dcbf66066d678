"""Stage names from headings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_LONGEST = 40
_NUMBERING = re.compile(
    r"^\s*(\(?[0-9ivxIVX]+[.):](?:[0-9]+[.):]?)*\s+|step\s+\d+\s*[:.-]\s*|part\s+\d+\s*[:.-]\s*)", re.IGNORECASE
)
_MARKUP = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|<[^>]*>|[`*_~$]")


def slug(heading: str) -> str:
    """A valid stage name from a heading, "" if nothing usable is left: `## 2. Train it` gives `train-it`."""
    text = _MARKUP.sub(r"\1", heading.lstrip("# \t"))
    text = _NUMBERING.sub("", text)
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", ascii_text)
    while words and not words[0][0].isalpha():
        words.pop(0)
    name = ""
    for word in words:
        longer = f"{name}-{word}" if name else word[:_LONGEST]
        if len(longer) > _LONGEST:
            break
        name = longer
    return name


def unique(names: Iterable[str]) -> list[str]:
    """The names with `-2`, `-3` … behind those that came before."""
    seen: dict[str, int] = {}
    result: list[str] = []
    for name in names:
        count = seen.get(name, 0) + 1
        candidate = name if count == 1 else f"{name}-{count}"
        while candidate in result:
            count += 1
            candidate = f"{name}-{count}"
        seen[name] = count
        result.append(candidate)
    return result
