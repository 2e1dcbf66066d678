"""What a stage left, then against now. Values are compared by digest, then by number where their format is a safe one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from nbpipe.errors import StoreError
from nbpipe.model import Artifact, FileState, Outcome
from nbpipe.reproduce.numbers import gap
from nbpipe.reproduce.verdict import Grade, Item, StageVerdict

if TYPE_CHECKING:
    from nbpipe.store import Store

#: Formats that are read to compare; a pickle never is.
SAFE = ("json", "npy", "arrow", "safetensors")


class Side(NamedTuple):
    """Where a run was made, where what it left lies, and what its stages left."""

    root: Path
    store: Store | None
    outcomes: Sequence[Outcome]


class Comparison:
    """Compares the stages of two runs. Must not load what could run code."""

    def __init__(self, before: Side, after: Side, tolerance: float, *, notebook: str = "") -> None:
        """`notebook` is the notebook's path in both projects."""
        self._before = before.store
        self._after = after.store
        self._roots = before.root, after.root
        self._tolerance = tolerance
        # Places that a value may name: those of files, and the notebook's own.
        states = [state for side in (before, after) for outcome in side.outcomes for state in _states(outcome)]
        paths = [Path(notebook), *(Path(state.path) for state in states)]
        self._places = {str(place) for path in paths for place in (path, *path.parents)}
        self._written = _written(before.outcomes), _written(after.outcomes)

    def stage(self, name: str, before: Outcome | None, after: Outcome | None) -> StageVerdict:
        """One stage; what it left then may be gone."""
        if before is None:
            return StageVerdict(name=name, unknown="what it left then is not known any more")
        if after is None:
            return StageVerdict(name=name, items=(_status(before.status, "did not run"),))
        said = after.failure.message if after.failure is not None else ""
        if before.status != after.status:
            return StageVerdict(name=name, items=(_status(before.status, f"{after.status}: {said}".rstrip(": ")),))
        if before.status != "succeeded":
            old = before.failure.message if before.failure is not None else ""
            same = old == said
            return StageVerdict(name=name, items=() if same else (_status(f"{before.status}: {old}", said),))
        return StageVerdict(
            name=name, items=(*self._values(before, after), *self._files(before, after), *self._metrics(before, after))
        )

    # -- values

    def _values(self, before: Outcome, after: Outcome) -> list[Item]:
        """Values that both left: what was only observed to change in one of them shows in the stages that read it."""
        old, new = {**before.outputs, **before.observed}, {**after.outputs, **after.observed}
        return [self._value(name, old[name], new[name]) for name in sorted(old.keys() & new.keys())]

    def _value(self, name: str, before: Artifact, after: Artifact) -> Item:
        if before.digest == after.digest:
            return Item(name=name, kind="value", verdict="equal", type=before.type)
        if before.type == after.type and before.type.startswith("pathlib.") and self._same_place(before, after):
            return Item(name=name, kind="value", verdict="equal", type=before.type)
        if before.type != after.type:
            return _differs(name, "value", before.type, f"{before.type or 'nothing'} → {after.type or 'nothing'}")
        if before.format != after.format or before.format not in SAFE:
            seen = _summaries(before.summary, after.summary)
            return _differs(name, "value", before.type, seen or "not the same value; pickles are not opened to compare")
        try:
            now = relocated(_load(self._after, after), str(self._roots[1]), str(self._roots[0]))
            then = _load(self._before, before)
            if before.format == "json" and then == now:
                return Item(name=name, kind="value", verdict="equal", type=before.type)
            found = gap(then, now, self._tolerance)
        except (StoreError, ImportError) as error:
            return _differs(name, "value", before.type, f"not the same value; it cannot be compared: {error}")
        if found is None:
            return _differs(name, "value", before.type, "the same numbers, but not the same layout, flags or names")
        return Item(
            name=name,
            kind="value",
            type=before.type,
            verdict="close" if found.tolerated else "differs",
            difference=found.largest,
            detail=found.text,
        )

    def _same_place(self, before: Artifact, after: Artifact) -> bool:
        """Whether two paths name the same place, each in its own project. Told by digest: they lie in pickles."""
        from nbpipe.store.digest import digest

        then, now = self._roots
        places = {".", *(place for place in self._places if not Path(place).is_absolute())}
        return any(digest(then / each) == before.digest and digest(now / each) == after.digest for each in places)

    # -- files

    def _files(self, before: Outcome, after: Outcome) -> list[Item]:
        old = {state.path: state for state in before.files_written}
        new = {state.path: state for state in after.files_written}
        # Of two stages that run side by side, either may be the one that was seen to write a file.
        elsewhere = {
            path for path, state in old.items() if path not in new and (path, state.digest) in self._written[1]
        }
        elsewhere |= {
            path for path, state in new.items() if path not in old and (path, state.digest) in self._written[0]
        }
        paths = sorted((old.keys() | new.keys()) - elsewhere)
        return [self._file(path, old.get(path), new.get(path)) for path in paths]

    def _file(self, path: str, before: FileState | None, after: FileState | None) -> Item:
        if before is None or after is None:
            return _differs(path, "file", "", "was not written then" if before is None else "is not written now")
        if before.digest == after.digest:
            return Item(name=path, kind="file", verdict="equal")
        if not before.digest or not after.digest:
            return _differs(path, "file", "", "was deleted then" if after.digest else "is deleted now")
        try:
            pair = _content(self._before, before), _content(self._after, after)
        except (StoreError, ValueError):
            pair = None, None
        found = gap(*pair, self._tolerance) if pair[0] is not None else None
        if found is None:
            return _differs(path, "file", "", f"other bytes ({before.size} → {after.size})")
        grade: Grade = "close" if found.tolerated else "differs"
        return Item(name=path, kind="file", verdict=grade, difference=found.largest, detail=found.text)

    # -- metrics

    def _metrics(self, before: Outcome, after: Outcome) -> list[Item]:
        names = sorted(before.metrics.keys() | after.metrics.keys())
        return [self._metric(name, before.metrics.get(name), after.metrics.get(name)) for name in names]

    def _metric(self, name: str, before: float | None, after: float | None) -> Item:
        if before is None or after is None:
            return _differs(name, "metric", "", f"{before} → {after}".replace("None", "nothing"))
        if before == after or (math.isnan(before) and math.isnan(after)):
            return Item(name=name, kind="metric", verdict="equal")
        found = gap(float(before), float(after), self._tolerance)
        close = found is not None and found.tolerated
        largest = found.largest if found is not None else None
        text = f"{before:.10g} → {after:.10g}"
        return Item(name=name, kind="metric", verdict="close" if close else "differs", difference=largest, detail=text)


def _states(outcome: Outcome) -> tuple[FileState, ...]:
    return (*outcome.files_read, *outcome.files_written)


def _written(outcomes: Iterable[Outcome]) -> set[tuple[str, str]]:
    return {(state.path, state.digest) for outcome in outcomes for state in outcome.files_written}


def relocated(value: Any, here: str, there: str) -> Any:
    """Plain data with texts that begin with the path `here` as if they had been made in `there`."""
    if type(value) is str:
        return there + value.removeprefix(here) if value == here or value.startswith(f"{here}/") else value
    if type(value) is list:
        return [relocated(item, here, there) for item in value]
    return {name: relocated(item, here, there) for name, item in value.items()} if type(value) is dict else value


def _load(store: Store | None, artifact: Artifact) -> Any:
    """A value of a safe format, and no other."""
    from nbpipe.store.formats import formats

    if store is None or artifact.format not in SAFE:
        raise StoreError("its store cannot be opened")
    return formats()[artifact.format].load(artifact, store.objects)


def _content(store: Store | None, state: FileState) -> Any:
    """What a JSON or NumPy file holds; None for any other. Raises ValueError for one that does not hold it."""
    suffix = Path(state.path).suffix
    if store is None or not state.object or suffix not in (".json", ".npy"):
        return None
    if suffix == ".json":
        try:
            return msgspec.json.decode(store.objects.get_bytes(state.object))
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from error
    import numpy as np

    return np.load(store.objects.local_path(state.object), mmap_mode="r", allow_pickle=False)


def _summaries(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The first thing that differs in what is noted of two values."""
    for name, old in before.items():
        if name in after and old != after[name]:
            return f"{name} {old} → {after[name]}"
    return ""


def _status(before: str, after: str) -> Item:
    return _differs("", "status", "", f"{before} → {after}")


def _differs(name: str, kind: Any, type_: str, detail: str) -> Item:
    return Item(name=name, kind=kind, verdict="differs", type=type_, detail=detail)
