"""The part `data`: what stages left. Equal digests are equal values; only where they differ is anything read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from nbpipe.errors import StoreError
from nbpipe.history.difference.figures import field_diff
from nbpipe.history.difference.hunks import hunks_of
from nbpipe.history.difference.shape import Note, StageDiff
from nbpipe.history.difference.shape_values import Change, FieldDiff, Stored, ValueDiff
from nbpipe.history.difference.sizes import Look, size_text
from nbpipe.history.difference.stored import LARGEST, READERS, UnreadableError, columns_of, plain_text
from nbpipe.history.difference.view import View
from nbpipe.model import Artifact, Outcome

#: Bytes that one diff reads of values; what comes later is compared by its digest alone.
_BUDGET = 256_000_000
_LARGEST_TEXT = 1_000_000
_LONGEST = 200
_CLOSED = {
    "live": "seen in a live kernel: only its digest, shape and columns are known",
    "pickle": "pickled: never loaded for a diff",
    "defstate": "attributes of a definition: pickled",
}


def value_diffs(a: View, b: View, stages: Sequence[StageDiff], *, everything: bool) -> list[ValueDiff]:
    """Stage by stage in the order of B, name by name."""
    look = Look(_BUDGET)
    found = []
    # What a trial left stayed in its kernel: there the values are those that it read.
    inputs = "trial" in (a.about.kind, b.about.kind)
    for stage in stages:
        before, after = a.facts(stage.a), b.facts(stage.b)
        if before.identity and before.identity == after.identity and not everything:
            continue
        old = _values(a, stage.a, inputs=inputs) if stage.a else {}
        new = _values(b, stage.b, inputs=inputs) if stage.b else {}
        for name in [*new, *(name for name in old if name not in new)]:
            left, right = old.get(name), new.get(name)
            if _seen_to_differ(left, right):
                found.append(_diff(name, stage, left, right, (a, b), look))
                continue
            if blind := [view for view, each in ((a, left), (b, right)) if each is not None and not each.digest]:
                _note(blind[0], name)
                continue
            if left is not None and right is not None and left.digest == right.digest and not everything:
                continue
            found.append(_diff(name, stage, left, right, (a, b), look))
    return found


def _seen_to_differ(a: Artifact | None, b: Artifact | None) -> bool:
    """Without digests: what a live kernel saw of a large value may be enough to tell it from another."""
    if a is None or b is None or (a.digest and b.digest) or not {a.format, b.format} <= {"live"}:
        return False
    told = ("shape", "dtype", "columns")
    return a.type != b.type or any(a.summary.get(name) != b.summary.get(name) for name in told)


def _note(view: View, name: str) -> None:
    text = f"'{name}' was not digested in {view.about.label}, which would have taken too long: it cannot be compared"
    view.notes.append(Note(part="data", text=text))


def _values(view: View, stage: str, *, inputs: bool) -> dict[str, Artifact]:
    if not inputs:
        return _left(view.outcome(stage))
    found = view.inputs(stage)
    return {name: found[name] for name in sorted(found) if found[name].format != "absent"}


def _left(outcome: Outcome | None) -> dict[str, Artifact]:
    """Values by name, in the order of their names."""
    if outcome is None:
        return {}
    every = {**outcome.outputs, **outcome.observed}
    return {name: every[name] for name in sorted(every) if every[name].format != "absent"}


def _diff(
    name: str, stage: StageDiff, a: Artifact | None, b: Artifact | None, sides: tuple[View, View], look: Look
) -> ValueDiff:
    if a is None or b is None:
        change: Change = "added" if a is None else "removed"
    else:
        change = "same" if a.digest == b.digest and not _seen_to_differ(a, b) else "changed"
    diff = ValueDiff(
        name=name,
        change=change,
        stage=stage.b or stage.a,
        a_stage=stage.a if stage.b and stage.a != stage.b else "",
        a=_stored(a) if a is not None else None,
        b=_stored(b) if b is not None else None,
    )
    if change == "same":
        return diff
    note = next((text for each in (a, b) if each is not None and (text := _closed(each))), "")
    if note:
        return msgspec.structs.replace(diff, note=note)
    try:
        return _looked_into(diff, a, b, sides, look)
    except StoreError as error:
        return msgspec.structs.replace(diff, note=error.message)
    except UnreadableError as error:
        return msgspec.structs.replace(diff, note=str(error))


def _looked_into(
    diff: ValueDiff, a: Artifact | None, b: Artifact | None, sides: tuple[View, View], look: Look
) -> ValueDiff:
    sizes = [_size(each, side) for each, side in zip((a, b), sides, strict=True)]
    plain = {each.format for each in (a, b) if each is not None} == {"json"}
    most = _LARGEST_TEXT if plain else LARGEST
    if max(sizes) > most:
        return msgspec.structs.replace(diff, note=f"too large to look into ({size_text(max(sizes))})")
    if not look.take(sum(sizes)):
        return msgspec.structs.replace(diff, note="not looked into: enough was read for this diff")
    if plain:
        texts = [plain_text(each, _objects(side)) if each else "" for each, side in zip((a, b), sides, strict=True)]
        if a is None or b is None:
            return diff
        hunks = hunks_of(*texts)
        return msgspec.structs.replace(diff, hunks=hunks or (), note="" if hunks is not None else "too long to compare")
    fields = _fields(a, b, sides)
    shown = tuple(each for each in fields if each.change != "same")
    return msgspec.structs.replace(diff, fields=shown, more_fields=_more(diff, fields))


def _fields(a: Artifact | None, b: Artifact | None, sides: tuple[View, View]) -> list[FieldDiff]:
    old, new = (
        columns_of(each, _objects(side)) if each is not None and each.format in READERS else {}
        for each, side in zip((a, b), sides, strict=True)
    )
    return [
        field_diff(name, old.get(name), new.get(name)) for name in [*new, *(name for name in old if name not in new)]
    ]


def _more(diff: ValueDiff, fields: Sequence[FieldDiff]) -> int:
    most = max((each.columns or 0 for each in (diff.a, diff.b) if each is not None), default=0)
    return max(most - len(fields), 0)


def _objects(side: View) -> Any:
    objects = side.objects()
    if objects is None:
        raise StoreError("its store cannot be read")
    return objects


def _size(artifact: Artifact | None, side: View) -> int:
    """Bytes as they lie in the store, whatever the record says."""
    if artifact is None:
        return 0
    objects = _objects(side)
    return sum(objects.size(digest) for digest in artifact.objects)


def _closed(artifact: Artifact) -> str:
    if artifact.format in _CLOSED:
        return _CLOSED[artifact.format]
    known = artifact.format in READERS or artifact.format == "json"
    return "" if known else f"nothing here reads {artifact.format[:20]!r}"


def _stored(artifact: Artifact) -> Stored:
    summary: Mapping[str, Any] = artifact.summary
    shape = summary.get("shape")
    sizes = tuple(size for size in shape if isinstance(size, int)) if isinstance(shape, list) else ()
    columns = summary.get("columns")
    is_table = isinstance(columns, list)
    length = summary.get("len")
    rows = sizes[0] if is_table and sizes else length if isinstance(length, int) else None
    return Stored(
        digest=artifact.digest,
        format=artifact.format,
        type=artifact.type[:_LONGEST],
        size=artifact.size,
        shape=sizes,
        dtype=str(summary.get("dtype", ""))[:_LONGEST],
        rows=rows,
        columns=(sizes[1] if len(sizes) > 1 else len(columns)) if is_table and columns is not None else None,
        preview=str(summary.get("value", ""))[:_LONGEST],
    )
