"""Which piece of A is which piece of B: by name, else by what it says. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

#: From here on, two pieces with different names are the same one, renamed.
ALIKE = 0.6
#: With fewer words in common, two pieces with the same name are looked at as strangers: another one may fit better.
STRANGERS = 0.5
_WORD = re.compile(r"\w+")


class Piece(NamedTuple):
    """What is matched: its name and its text."""

    name: str
    text: str


class Pair(NamedTuple):
    """Positions in A and B; None where it is only on the other side. `similarity` is 0 to 1."""

    a: int | None
    b: int | None
    similarity: float


def match(a: Sequence[Piece], b: Sequence[Piece], *, alike: float = ALIKE) -> list[Pair]:
    """Each piece of both sides once: in the order of B, and those that only A has where they stood among the others.

    Equal text under another name counts more than another text under an equal name.
    """
    found: dict[int, tuple[int, float]] = {}
    free_a, free_b = set(range(len(a))), set(range(len(b)))

    def take(i: int, j: int, similarity: float) -> None:
        found[j] = (i, similarity)
        free_a.discard(i)
        free_b.discard(j)

    names = {piece.name: i for i, piece in enumerate(a)}
    words_a, words_b = [_words(piece.text) for piece in a], [_words(piece.text) for piece in b]
    namesakes = [(names[piece.name], j) for j, piece in enumerate(b) if piece.name in names]
    for i, j in namesakes:
        if a[i].text == b[j].text:
            take(i, j, 1.0)
    texts: dict[str, list[int]] = {}
    for i in sorted(free_a):
        texts.setdefault(a[i].text, []).append(i)
    for j in sorted(free_b):
        same = texts.get(b[j].text, [])
        if len(same) == 1 and same[0] in free_a and words_b[j]:
            take(same[0], j, 1.0)
    for i, j in namesakes:
        if i in free_a and j in free_b and (near := _shared(words_a[i], words_b[j])) >= STRANGERS:
            take(i, j, near)
    for near, i, j in _nearest(a, b, free_a, free_b, words_a, words_b, alike):
        if i in free_a and j in free_b:
            take(i, j, near)
    for i, j in namesakes:
        if i in free_a and j in free_b:
            take(i, j, _shared(words_a[i], words_b[j]))
    return _ordered(found, sorted(free_a), len(b))


def similarity(a: str, b: str) -> float:
    """How much of two pieces of code is alike, 0 to 1: words and signs in their order."""
    if a == b:
        return 1.0
    tokens_a, tokens_b = _tokens(a), _tokens(b)
    if not tokens_a or not tokens_b:
        return 0.0
    return SequenceMatcher(None, tokens_a, tokens_b, autojunk=len(tokens_b) > _MANY).ratio()


def moved(pairs: Sequence[Pair]) -> set[int]:
    """Positions in B of pieces that changed places: the fewest that explain the new order."""
    both = [(pair.a, pair.b) for pair in pairs if pair.a is not None and pair.b is not None]
    order = [i for i, _ in sorted(both, key=lambda item: item[1])]
    stay = _longest_rising(order)
    return {j for i, j in both if i not in stay}


_MANY = 400
#: Characters of a piece that count for its likeness.
_LOOKED_AT = 20_000


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text[:_LOOKED_AT])


def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text[:_LOOKED_AT]))


def _shared(a: Counter[str], b: Counter[str]) -> float:
    """The share of words that both have, in any order."""
    total = sum(a.values()) + sum(b.values())
    return 2 * sum((a & b).values()) / total if total else 0.0


def _nearest(
    a: Sequence[Piece],
    b: Sequence[Piece],
    free_a: set[int],
    free_b: set[int],
    words_a: Sequence[Counter[str]],
    words_b: Sequence[Counter[str]],
    alike: float,
) -> list[tuple[float, int, int]]:
    """Pairs that are alike, the nearest first. Words in any order say which pairs are worth a closer look."""
    found = []
    for i in sorted(free_a):
        for j in sorted(free_b):
            if _shared(words_a[i], words_b[j]) < alike:
                continue
            near = similarity(a[i].text, b[j].text)
            if near >= alike:
                found.append((near, i, j))
    return sorted(found, key=lambda item: (-item[0], item[1], item[2]))


def _ordered(found: dict[int, tuple[int, float]], only_a: list[int], size_b: int) -> list[Pair]:
    pairs = [Pair(found[j][0], j, found[j][1]) if j in found else Pair(None, j, 0.0) for j in range(size_b)]
    for i in only_a:
        # After the last of those that stood before it in A and are still there.
        places = [at for at, pair in enumerate(pairs) if pair.a is not None and pair.a < i]
        pairs.insert(max(places, default=-1) + 1, Pair(i, None, 0.0))
    return pairs


def _longest_rising(order: Sequence[int]) -> set[int]:
    """The longest subsequence that rises."""
    best: list[tuple[int, int]] = []
    for at, item in enumerate(order):
        before = [(best[k][0], k) for k in range(at) if order[k] < item]
        length, previous = max(before, default=(0, -1))
        best.append((length + 1, previous))
    at = max(range(len(best)), key=lambda k: best[k][0], default=-1)
    stay = set()
    while at >= 0:
        stay.add(order[at])
        at = best[at][1]
    return stay
