"""Where to cut: headings first, then the kind of work; never where a value that lives in one process is cut off."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from nbpipe.model import Cell
from nbpipe.suggest.look import Kind, Look, look_at
from nbpipe.suggest.naming import slug

#: With more stages than this a level of headings is too fine.
_MOST = 15
_FEWEST = 3
#: So many are fine however few cells there are.
_ALWAYS = 5
_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*\s*$")
_PHASES: dict[Kind, int] = {"define": 0, "load": 1, "prepare": 2, "train": 3, "evaluate": 4, "save": 5}
#: Names for stages, by what their cells do.
TITLES: dict[Kind, str] = {
    "define": "start",
    "load": "load",
    "prepare": "prepare",
    "train": "train",
    "evaluate": "evaluate",
    "plot": "plot",
    "save": "save",
    "other": "work",
}
_REASONS: dict[Kind, str] = {
    "define": "only defines what later cells use",
    "load": "loads data",
    "prepare": "prepares data",
    "train": "trains",
    "evaluate": "judges a result",
    "plot": "draws",
    "save": "saves a result",
    "other": "does some work",
}
#: Characters of a heading that are repeated.
_SHOWN = 80


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """Adjacent code cells that become one stage. `cells` are cell numbers."""

    cells: tuple[int, ...]
    title: str
    #: Where the title comes from, for people.
    why: str = ""


def segment(cells: Sequence[Cell]) -> list[Segment]:
    """Cut the code cells that do something into segments, in notebook order."""
    looks = {cell.number: look_at(cell.source) for cell in cells if cell.kind == "code"}
    numbers = [number for number, look in looks.items() if not look.empty]
    if not numbers:
        return []
    headings = _headings(cells)
    cuts = _by_heading(headings, numbers) or _by_phase(numbers, looks)
    cuts -= _forbidden(numbers, looks)
    groups = _with_work(_group(numbers, cuts), looks)
    most = max(_ALWAYS, min(_MOST, len(numbers) // 2))
    groups = _fewer(groups, looks, most)
    named = [(group, *_title(group, headings, looks)) for group in groups]
    return [Segment(cells=tuple(group), title=title, why=why) for group, title, why in named]


def _headings(cells: Sequence[Cell]) -> list[tuple[int, int, str]]:
    """(cell number, level, text) of each heading in a Markdown cell."""
    found = []
    for cell in cells:
        if cell.kind != "markdown":
            continue
        fenced = False
        for line in cell.source.splitlines():
            fenced ^= line.lstrip().startswith("```")
            match = None if fenced else _HEADING.match(line)
            if match:
                found.append((cell.number, len(match.group(1)), match.group(2)))
    return found


def _by_heading(headings: list[tuple[int, int, str]], numbers: list[int]) -> set[int]:
    """Numbers of the cells that start a segment, at the coarsest level of headings that gives enough of them."""
    best: set[int] = set()
    for level in range(1, 5):
        starts = set()
        for at, depth, _ in headings:
            following = [number for number in numbers if number > at]
            if depth <= level and following:
                starts.add(following[0])
        starts.discard(numbers[0])
        if len(starts) + 1 > _MOST and best:
            return best
        best = starts
        if len(starts) + 1 >= _FEWEST:
            return best
    return best


def _by_phase(numbers: list[int], looks: dict[int, Look]) -> set[int]:
    """Without headings: cut where the work moves on from loading to preparing, training, judging, saving."""
    cuts: set[int] = set()
    phase = _PHASES.get(looks[numbers[0]].kind, 0)
    for number in numbers[1:]:
        now = _PHASES.get(looks[number].kind)
        if now is not None and now > phase:
            cuts.add(number)
            phase = now
    return cuts


def _forbidden(numbers: list[int], looks: dict[int, Look]) -> set[int]:
    """Cell numbers before which no cut may be made."""
    held: set[int] = set()
    for index, number in enumerate(numbers):
        look = looks[number]
        if look.dynamic:
            return set(numbers)
        if look.history:
            held |= set(numbers[1 : index + 1])
        for name in look.fragile:
            held |= _lifetime(name, index, numbers, looks)
    return held


def _lifetime(name: str, index: int, numbers: list[int], looks: dict[int, Look]) -> set[int]:
    """The cells up to the last one that reads the value bound to `name` in cell `index`."""
    last = index
    for later in range(index + 1, len(numbers)):
        look = looks[numbers[later]]
        if name in look.reads:
            last = later
        elif name in look.binds:
            break
    return set(numbers[index + 1 : last + 1])


def _group(numbers: list[int], cuts: set[int]) -> list[list[int]]:
    starts = [0, *(index for index, number in enumerate(numbers) if number in cuts and index), len(numbers)]
    return [numbers[begin:end] for begin, end in pairwise(starts)]


def _with_work(groups: list[list[int]], looks: dict[int, Look]) -> list[list[int]]:
    """Groups that only define join the next one: a kernel for imports alone is not worth its start."""
    result: list[list[int]] = []
    waiting: list[int] = []
    for group in groups:
        waiting = waiting + group
        if any(looks[number].kind != "define" for number in group):
            result.append(waiting)
            waiting = []
    if waiting:
        result = [*result[:-1], result[-1] + waiting] if result else [waiting]
    return result


def _fewer(groups: list[list[int]], looks: dict[int, Look], most: int) -> list[list[int]]:
    """At most so many groups: the smallest neighbours are joined, those of one kind first. A stage costs a kernel."""
    while len(groups) > most:
        kinds = [_main_kind(group, looks) for group in groups]
        at = min(
            range(len(groups) - 1),
            key=lambda i: (len(groups[i]) + len(groups[i + 1]), kinds[i] != kinds[i + 1], i),
        )
        groups = [*groups[:at], groups[at] + groups[at + 1], *groups[at + 2 :]]
    return groups


def _main_kind(group: list[int], looks: dict[int, Look]) -> Kind:
    kinds = [looks[number].kind for number in group]
    return max(kinds, key=lambda kind: (_PHASES.get(kind, 0), kinds.count(kind)))


def _title(group: list[int], headings: list[tuple[int, int, str]], looks: dict[int, Look]) -> tuple[str, str]:
    """The last heading above the first cell that does more than define, else the kind of work; and which of the two."""
    working = next((number for number in group if looks[number].kind != "define"), group[0])
    above = [text for at, _, text in headings if at < working and (at > group[0] or at == _nearest(headings, group[0]))]
    name = slug(above[-1]) if above else ""
    if name:
        return name, f"under the heading “{above[-1][:_SHOWN]}”"
    kind = _main_kind(group, looks)
    return TITLES[kind], _REASONS[kind]


def _nearest(headings: list[tuple[int, int, str]], number: int) -> int:
    return max((at for at, _, _ in headings if at < number), default=-1)
