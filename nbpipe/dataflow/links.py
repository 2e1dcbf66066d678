"""Edges of the graph: data, order, files, ambient state, and what earlier runs observed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from typing import Any, Literal

from nbpipe.dataflow.hints import OWNERS
from nbpipe.model import Edge, Stage

_Kind = Literal["data", "after", "file", "ambient", "observed"]


def edges(stages: Sequence[Stage], observed: Mapping[str, Mapping[str, Any]]) -> tuple[Edge, ...]:
    """All edges, by target in notebook order; `observed` maps stages to facts of earlier runs."""
    found: list[Edge] = []
    paths = {stage.name: _paths(stage, observed) for stage in stages}
    for index, stage in enumerate(stages):
        above = stages[:index]
        found += _data(stage)
        found += [Edge(source=name, target=stage.name, kind="after") for name in stage.after]
        found += _files(stage, above, paths)
        found += _ambient(stage, above)
        found += _observed(stage, above, observed)
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
    return {_clean(path) for path in reads}, {_clean(path) for path in writes}


def _clean(path: str) -> str:
    return path.removeprefix("./")


def _files(stage: Stage, above: Sequence[Stage], paths: Mapping[str, tuple[set[str], set[str]]]) -> list[Edge]:
    reads, writes = paths[stage.name]
    found = []
    for other in above if reads or writes else ():
        their_reads, their_writes = paths[other.name]
        shared = _common(reads | writes, their_writes) | _common(writes, their_reads)
        if shared:
            found.append(Edge(source=other.name, target=stage.name, names=tuple(sorted(shared)), kind="file"))
    return found


def _common(mine: set[str], theirs: set[str]) -> set[str]:
    return {a for a in mine for b in theirs if a == b or fnmatch(a, b) or fnmatch(b, a)}


def _ambient(stage: Stage, above: Sequence[Stage]) -> list[Edge]:
    """From the last stage that set or drew, once somebody has set it."""
    found: dict[str, list[str]] = {}
    for name in sorted({name for other in above for name in other.flow.ambient_sets}):
        owner = OWNERS.get(name)
        reads = owner is not None and owner in {"", *stage.flow.modules}
        if not reads and name not in stage.flow.ambient_uses:
            continue
        last, seeded = "", False
        for other in above:
            seeded |= name in other.flow.ambient_sets
            if seeded and name in {*other.flow.ambient_sets, *other.flow.ambient_uses}:
                last = other.name
        found.setdefault(last, []).append(name)
    return [Edge(source=s, target=stage.name, names=tuple(names), kind="ambient") for s, names in found.items()]


def _observed(stage: Stage, above: Sequence[Stage], observed: Mapping[str, Mapping[str, Any]]) -> list[Edge]:
    seen = observed.get(stage.name, {})
    visible = stage.flow.inputs.keys() | stage.flow.scope.keys() if observed else set[str]()
    found = []
    for other in above if observed else ():
        theirs = observed.get(other.name, {})
        names = set(theirs.get("outputs", ())) & visible
        names |= set(theirs.get("ambient_out", ())) & set(seen.get("ambient_read", ()))
        if names:
            found.append(Edge(source=other.name, target=stage.name, names=tuple(sorted(names)), kind="observed"))
    return found
