"""Edges of the graph: data, order, files, ambient state, and what earlier runs observed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any, Literal

from nbpipe.dataflow.hints import OWNERS
from nbpipe.model import Edge, Stage

_Kind = Literal["data", "after", "file", "ambient", "observed"]


def edges(stages: Sequence[Stage], observed: Mapping[str, Mapping[str, Any]]) -> tuple[Edge, ...]:
    """All edges, by target in notebook order; `observed` maps stages to facts of earlier runs.

    A stage looks at those above that have something to do with files, or were observed: not at every one.
    """
    found: list[Edge] = []
    ambient = _Ambient()
    with_files: list[_Files] = []
    seen_above: list[tuple[str, Mapping[str, Any]]] = []
    visible: set[str] = set()
    for stage in stages:
        seen = observed.get(stage.name, {})
        files = _Files(stage, seen)
        visible |= stage.flow.scope.keys()
        found += _data(stage)
        found += [Edge(source=name, target=stage.name, kind="after") for name in stage.after]
        found += files.edges(with_files)
        found += ambient.edges(stage)
        found += _observed(stage, seen, seen_above, visible)
        ambient.pass_by(stage)
        if files:
            with_files.append(files)
        if seen:
            seen_above.append((stage.name, seen))
    return tuple(found)


def _data(stage: Stage) -> list[Edge]:
    by_source: dict[str, list[str]] = {}
    for name, source in stage.flow.inputs.items():
        by_source.setdefault(source, []).append(name)
    return [Edge(source=s, target=stage.name, names=tuple(sorted(names))) for s, names in sorted(by_source.items())]


class _Files:
    """What a stage has to do with files and folders, as its code says and as it was seen."""

    def __init__(self, stage: Stage, seen: Mapping[str, Any]) -> None:
        self.stage = stage.name
        self.reads = _clean((*stage.flow.file_reads, *stage.options.reads, *seen.get("reads_files", ())))
        self.writes = _clean((*stage.flow.file_writes, *stage.options.writes, *seen.get("writes_files", ())))
        self._needs = set(seen.get("folders_found", ()))
        self._leaves = set(seen.get("folders_left", ()))
        #: It starts programs whose files nobody sees, and does not say which they are.
        self._unseen = bool(seen.get("unseen")) and not (stage.options.reads or stage.options.writes)

    def __bool__(self) -> bool:
        return bool(self.reads or self.writes or self._needs or self._leaves or self._unseen)

    def edges(self, above: Sequence[_Files]) -> list[Edge]:
        """From those above that it must not change places with."""
        found = []
        for other in above if self else ():
            shared = self._shared(other)
            if shared:
                found.append(Edge(source=other.stage, target=self.stage, names=tuple(sorted(shared)), kind="file"))
        return found

    def _shared(self, other: _Files) -> set[str]:
        shared = _common(self.reads | self.writes, other.writes) | _common(self.writes, other.reads)
        shared |= _listed(self.writes, other.reads) | _listed(other.writes, self.reads)
        shared |= self._needs & other._leaves
        if self._unseen:
            shared |= other.writes
        if other._unseen:
            shared |= self.writes
        return shared


def _listed(writes: set[str], reads: set[str]) -> set[str]:
    """Files below a folder whose names were looked at: its path has a slash at the end."""
    folders = ["" if path == "./" else path for path in reads if path.endswith("/") and not path.endswith("/./")]
    return {path for path in writes for folder in folders if path.startswith(folder)}


def _clean(paths: Iterable[str]) -> set[str]:
    return {path if path == "./" else path.removeprefix("./") for path in paths}


def _common(mine: set[str], theirs: set[str]) -> set[str]:
    return {a for a in mine for b in theirs if a == b or fnmatch(a, b) or fnmatch(b, a)}


class _Ambient:
    """Who touched ambient state last, once somebody has set it."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def edges(self, stage: Stage) -> list[Edge]:
        """From the last stage that set or drew, per piece of state that this one uses."""
        found: dict[str, list[str]] = {}
        for name, last in sorted(self._last.items()):
            owner = OWNERS.get(name)
            reads = owner is not None and owner in {"", *stage.flow.modules}
            if reads or name in stage.flow.ambient_uses:
                found.setdefault(last, []).append(name)
        return [Edge(source=s, target=stage.name, names=tuple(names), kind="ambient") for s, names in found.items()]

    def pass_by(self, stage: Stage) -> None:
        """The stage is above those that follow."""
        for name in stage.flow.ambient_uses:
            if name in self._last:
                self._last[name] = stage.name
        for name in stage.flow.ambient_sets:
            self._last[name] = stage.name


def _observed(
    stage: Stage, seen: Mapping[str, Any], above: Sequence[tuple[str, Mapping[str, Any]]], visible: set[str]
) -> list[Edge]:
    found = []
    drawn = set(seen.get("ambient_read", ()))
    for other, theirs in above:
        names = {name for name in theirs.get("outputs", ()) if name in visible or name in stage.flow.inputs}
        names |= drawn & set(theirs.get("ambient_out", ()))
        if names:
            found.append(Edge(source=other, target=stage.name, names=tuple(sorted(names)), kind="observed"))
    return found
