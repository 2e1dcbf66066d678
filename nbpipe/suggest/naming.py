"""Stage names from headings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_LONGEST = 32
_NUMBERING = re.compile(
    r"^\s*(\(?[0-9ivxIVX]+[.):](?:[0-9]+[.):]?)*\s+|(?:step|part|chapter|section)\s+\d+\s*[:.-]\s*)", re.IGNORECASE
)
_MARKUP = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|<[^>]*>|[`*_~$]")
_ASIDE = re.compile(r"\s*\([^)]*\)?")
_BREAK = re.compile(r"\s*(?:[:;?!,]|\s[-–—]+)\s+|\.\s+")
#: A name does not end in these.
_LOOSE = frozenset(
    re.findall(
        r"\w+",
        "a an and as at but by for from how if in into is it its now of on or our so that the their then these this those to "
        "using via we what which who with",
    )
)


def slug(heading: str) -> str:
    """A valid stage name from a heading, "" if nothing usable is left: `## 2. Train it` gives `train-it`.

    A long heading gives its first phrase, or as many of its words as fit.
    """
    text = _MARKUP.sub(r"\1", heading.lstrip("# \t"))
    text = _NUMBERING.sub("", text)
    text = _ASIDE.sub("", text) or text
    words = _words(text)
    if len("-".join(words)) > _LONGEST:
        phrases = [_words(phrase) for phrase in _BREAK.split(text)]
        words = next((phrase for phrase in phrases if phrase and phrase[-1] not in _LOOSE), words)
    return _fitting(words)


def _words(text: str) -> list[str]:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", re.sub(r"(?<=\w)'(?=\w)", "", ascii_text))
    while words and not words[0][0].isalpha():
        words.pop(0)
    return words


def _fitting(words: list[str]) -> str:
    kept = words[:1]
    for word in words[1:]:
        if len("-".join([*kept, word])) > _LONGEST:
            break
        kept.append(word)
    while len(kept) > 1 and len(kept) < len(words) and kept[-1] in _LOOSE:
        kept.pop()
    return "-".join(kept)[:_LONGEST]


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
