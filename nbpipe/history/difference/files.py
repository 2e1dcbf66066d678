"""Files that stages read and wrote, by their digests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Literal

import msgspec

from nbpipe.errors import StoreError
from nbpipe.history.difference.hunks import counted, hunks_of
from nbpipe.history.difference.shape import StageDiff
from nbpipe.history.difference.shape_values import Change, FileDiff, FileVersion
from nbpipe.history.difference.sizes import Look
from nbpipe.history.difference.view import View
from nbpipe.model import FileState

#: Names of files that hold text, and bytes of the largest that is read, and of all of one diff.
_TEXTS = {".cfg", ".css", ".csv", ".html", ".ini", ".json", ".jsonl", ".log", ".md", ".py", ".rst", ".sql", ".svg"}
_TEXTS |= {".tex", ".toml", ".tsv", ".txt", ".xml", ".yaml", ".yml"}
_LARGEST = 256_000
_MOST = 16_000_000


class _Seen:
    """A path on one side."""

    def __init__(self, state: FileState, role: Literal["read", "written"]) -> None:
        self.state = state
        self.role = role
        self.stages: list[str] = []


def file_diffs(
    a: View, b: View, stages: Sequence[StageDiff], names: Mapping[str, str], *, everything: bool
) -> list[FileDiff]:
    """By path. Of a side that is a notebook, files are as they are now: those that the other side read."""
    same = {
        stage.b
        for stage in stages
        if not everything and (facts := a.facts(stage.a)).identity and facts.identity == b.facts(stage.b).identity
    }
    old = _seen(a, [stage.a for stage in stages if stage.a and names.get(stage.a) not in same], names)
    new = _seen(b, [stage.b for stage in stages if stage.b and stage.b not in same], {})
    if a.about.kind == "notebook":
        old = _now(a, new)
    elif b.about.kind == "notebook":
        new = _now(b, old)
    found = []
    look = Look(_MOST)
    for path in sorted({**old, **new}):
        left, right = old.get(path), new.get(path)
        one = right or left
        assert one is not None  # noqa: S101 - it is on one side
        before, after = _version(left), _version(right)
        change = _change(before, after)
        if change == "same" and not everything:
            continue
        made = FileDiff(path=path, change=change, role=one.role, stages=tuple(one.stages), a=before, b=after)
        found.append(_by_lines(made, _text(a, left, look), _text(b, right, look)) if change == "changed" else made)
    return found


def _by_lines(made: FileDiff, old: str | None, new: str | None) -> FileDiff:
    hunks = hunks_of(old, new) if old is not None and new is not None else None
    if not hunks:
        return made
    added, removed = counted(hunks)
    return msgspec.structs.replace(made, hunks=hunks, lines_added=added, lines_removed=removed)


def _text(view: View, seen: _Seen | None, look: Look) -> str | None:
    """What a stage wrote, if it is a small text by its name and its bytes, and still kept; else None."""
    if seen is None or not seen.state.object or PurePosixPath(seen.state.path).suffix.lower() not in _TEXTS:
        return None
    objects = view.objects()
    if objects is None or seen.state.size > _LARGEST or not look.take(seen.state.size):
        return None
    try:
        text = objects.get_bytes(seen.state.object).decode()
    except (StoreError, UnicodeDecodeError):
        return None
    return None if "\0" in text else text


def _seen(view: View, stages: Sequence[str], names: Mapping[str, str]) -> dict[str, _Seen]:
    """What stages read before anything wrote it, and the last that they wrote; with the stages that did."""
    found: dict[str, _Seen] = {}
    for stage in stages:
        outcome = view.outcome(stage)
        if outcome is None:
            continue
        for state in outcome.files_read:
            seen = found.setdefault(state.path, _Seen(state, "read"))
            if seen.role == "read":
                _add(seen, names.get(stage, stage))
        for state in outcome.files_written:
            earlier = found.get(state.path)
            found[state.path] = _Seen(state, "written")
            found[state.path].stages = earlier.stages if earlier is not None and earlier.role == "written" else []
            _add(found[state.path], names.get(stage, stage))
    return found


def _add(seen: _Seen, stage: str) -> None:
    if stage not in seen.stages:
        seen.stages.append(stage)


def _now(view: View, other: Mapping[str, _Seen]) -> dict[str, _Seen]:
    """The files that the other side read, as they are on disk; folders that were listed cannot be told."""
    found = {}
    for path, seen in other.items():
        if path.endswith("/"):
            found[path] = seen
            continue
        state = view.file_now(path)
        if seen.role == "read" and state is not None:
            found[path] = _Seen(state, "read")
            found[path].stages = seen.stages
        else:
            found[path] = seen
    return found


def _version(seen: _Seen | None) -> FileVersion | None:
    if seen is None:
        return None
    return FileVersion(digest=seen.state.digest, size=seen.state.size)


def _change(a: FileVersion | None, b: FileVersion | None) -> Change:
    old, new = a.digest if a is not None else "", b.digest if b is not None else ""
    if old == new:
        return "same"
    return "added" if not old else "removed" if not new else "changed"
