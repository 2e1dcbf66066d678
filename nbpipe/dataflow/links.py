"""Edges of the graph: data, order, files, ambient state, and what earlier runs observed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    with_files: list[tuple[str, set[str], set[str]]] = []
    seen_above: list[tuple[str, Mapping[str, Any]]] = []
    visible: set[str] = set()
    for stage in stages:
        reads, writes = _paths(stage, observed)
        seen = observed.get(stage.name, {})
        visible |= stage.flow.scope.keys()
        found += _data(stage)
        found += [Edge(source=name, target=stage.name, kind="after") for name in stage.after]
        found += _files(stage, reads, writes, with_files)
        found += ambient.edges(stage)
        found += _observed(stage, seen, seen_above, visible)
        ambient.pass_by(stage)
        if reads or writes:
            with_files.append((stage.name, reads, writes))
        if seen:
            seen_above.append((stage.name, seen))
    return tuple(found)


def _data(stage: Stage) -> list[Edge]:
    by_source: dict[str, list[str]] = {}
    for name, source in stage.flow.inputs.items():
        by_source.setdefault(source, []).append(name)
    return [Edge(source=s, target=stage.name, names=tuple(sorted(names))) for s, names in sorted(by_source.items())]


def _paths(stage: Stage, observed: Mapping[str, Mapping[str, Any]]) -> tuple[set[str], set[str]]:
    seen = observed.get(stage.name, {})
    reads = {*stage.flow.file_reads, *stage.options.reads, *seen.get("reads_files", ())}
    writes = {*stage.flow.file_writes, *stage.options.writes, *seen.get("writes_files", ())}
    return set(map(_clean, reads)), set(map(_clean, writes))


def _clean(path: str) -> str:
    return path.removeprefix("./")


def _files(
    stage: Stage, reads: set[str], writes: set[str], above: Sequence[tuple[str, set[str], set[str]]]
) -> list[Edge]:
    found = []
    for other, their_reads, their_writes in above if reads or writes else ():
        shared = _common(reads | writes, their_writes) | _common(writes, their_reads)
        if shared:
            found.append(Edge(source=other, target=stage.name, names=tuple(sorted(shared)), kind="file"))
    return found


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
