"""The part `code`: stages, setup cells, sliced definitions and local modules, as they stand in the notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from nbpipe.errors import NbpipeError
from nbpipe.history.difference.hunks import counted, hunks_of, whole
from nbpipe.history.difference.matching import Piece, match
from nbpipe.history.difference.shape import CodeDiff, CodeText, Fate, StageDiff
from nbpipe.history.difference.shape_values import Hunk
from nbpipe.history.difference.view import Sources, Unit
from nbpipe.pipeline.code import fingerprint

Meaning = Literal["none", "format", "options", "code"]
Kind = Literal["stage", "setup", "definition", "module"]
#: Kinds of definitions that keep their identity under another name; an import of something else is another import.
_RENAMED = ("function", "class")


def code_diffs(
    a: Sources, b: Sources, stages: Sequence[StageDiff], names: Mapping[str, str], *, everything: bool
) -> list[CodeDiff]:
    """Stages in the order of `stages`, then what they share. `names` maps stages of A to their names in B."""
    old = {unit.text.name: unit for unit in a.stages}
    new = {unit.text.name: unit for unit in b.stages}
    pairs: list[tuple[Kind, Unit | None, Unit | None, float]] = [
        ("stage", old.get(stage.a), new.get(stage.b), stage.similarity) for stage in stages
    ]
    pairs += [("setup", *pair) for pair in _paired(a.setup, b.setup)]
    pairs += [("definition", *pair) for pair in _paired(a.definitions, b.definitions)]
    pairs += [("module", *pair) for pair in _paired(a.modules, b.modules)]
    found = [_diff(kind, left, right, similarity, names) for kind, left, right, similarity in pairs]
    return [diff for diff in found if everything or diff.change != "same"]


def meaning_of(a: Unit, b: Unit) -> Meaning:
    """What a change of text means. Where it cannot be told, it is a change of the code."""
    if a.bodies != b.bodies and not _equal_meaning(a, b):
        return "code"
    if a.kind != b.kind or _other_options(a, b):
        return "options"
    return "none" if a.text.text == b.text.text or (a.bodies and a.bodies == b.bodies) else "format"


def _other_options(a: Unit, b: Unit) -> bool:
    if a.options is not None and b.options is not None:
        return a.options != b.options
    # Of a trial, the words of its line; the name is looked at elsewhere.
    return a.magic.split()[2:] != b.magic.split()[2:]


def _equal_meaning(a: Unit, b: Unit) -> bool:
    try:
        return [fingerprint(body) for body in a.bodies] == [fingerprint(body) for body in b.bodies]
    except (NbpipeError, SyntaxError, ValueError, RecursionError):
        return False


def _diff(kind: Kind, a: Unit | None, b: Unit | None, similarity: float, names: Mapping[str, str]) -> CodeDiff:
    one = b or a
    assert one is not None  # noqa: S101 - a pair has at least one side
    old, new = a.text.text if a else "", b.text.text if b else ""
    hunks = _hunks(a, b) if old != new else ()
    added, removed = counted(hunks)
    if a is None or b is None:
        meaning: Meaning = "code"
        change: Fate = "added" if a is None else "removed"
    else:
        meaning = _module_meaning(a, b) if kind == "module" else meaning_of(a, b)
        renamed = a.text.name != b.text.name
        change = "renamed" if renamed else "same" if old == new and meaning == "none" else "changed"
    stages = (b.stages if b else tuple(names.get(name, name) for name in one.stages)) if kind != "stage" else ()
    return CodeDiff(
        name=one.text.name,
        unit=kind,
        change=change,
        meaning=meaning,
        a=a.text if a else None,
        b=b.text if b else None,
        stages=stages,
        similarity=round(similarity, 3),
        lines_added=added,
        lines_removed=removed,
        hunks=hunks,
    )


def _hunks(a: Unit | None, b: Unit | None) -> tuple[Hunk, ...]:
    """What is only on one side is one hunk; so is a text that differs too much to be compared line by line."""
    old, new = a.text if a else CodeText(name=""), b.text if b else CodeText(name="")
    if a is not None and b is not None:
        found = hunks_of(old.text, new.text, a_cells=old.cells, b_cells=new.cells)
        if found is not None:
            return found
    return whole(old.text if a else None, new.text if b else None, a_cells=old.cells, b_cells=new.cells)


def _module_meaning(a: Unit, b: Unit) -> Meaning:
    if a.meaning == b.meaning:
        return "none" if a.text.text == b.text.text else "format"
    return "code"


def _paired(a: Sequence[Unit], b: Sequence[Unit]) -> list[tuple[Unit | None, Unit | None, float]]:
    """By kind and name; functions and classes also by what they say."""
    found: list[tuple[Unit | None, Unit | None, float]] = []
    for free in (True, False):
        old = [unit for unit in a if (unit.kind in _RENAMED) == free]
        new = [unit for unit in b if (unit.kind in _RENAMED) == free]
        pieces = [[Piece(unit.text.name, unit.text.text) for unit in side] for side in (old, new)]
        for pair in match(*pieces, alike=0.7 if free else 2.0):
            left = old[pair.a] if pair.a is not None else None
            right = new[pair.b] if pair.b is not None else None
            found.append((left, right, pair.similarity))
    return found
