"""A pipeline's stages, names, edges and definitions, found without going through all of them."""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Iterable

from nbpipe.model import Pipeline, Snippet, Stage

#: Pipelines whose index is kept: a lab asks about a few, again and again.
_MOST = 8


class Index:
    """What a pipeline says, by name. Made once for a pipeline, in one pass; never changed."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.stages = pipeline.stages
        #: Stage -> its place in notebook order.
        self.position = {stage.name: n for n, stage in enumerate(pipeline.stages)}
        #: Target -> sources of its edges.
        self.sources: dict[str, set[str]] = {}
        for edge in pipeline.edges:
            self.sources.setdefault(edge.target, set()).add(edge.source)
        self.snippets = {item.id: item for item in pipeline.snippets}
        self._order = {item.id: n for n, item in enumerate(pipeline.snippets)}
        #: Parameter, or other name of the params cell -> id of its statement.
        self.param_ids = {name: item.id for item in pipeline.snippets if item.kind == "param" for name in item.names}
        #: Metric -> stages that declare it.
        self.measured: dict[str, set[str]] = {}
        self._givers: dict[str, list[int]] = {}
        self._scope: dict[str, tuple[list[int], list[str]]] = {}
        for n, stage in enumerate(pipeline.stages):
            for name in stage.options.metrics:
                self.measured.setdefault(name, set()).add(stage.name)
            for name in stage.flow.outputs:
                self._givers.setdefault(name, []).append(n)
            for name, provider in stage.flow.scope.items():
                places, providers = self._scope.setdefault(name, ([], []))
                places.append(n)
                providers.append(provider)

    def stage(self, name: str) -> Stage:
        """Raises KeyError for one that is not there."""
        return self.stages[self.position[name]]

    def provider(self, stage: str, name: str) -> str:
        """Where a name comes from that is visible when the stage begins, as in `StageFlow.scope`; "" for one that is not."""
        places, providers = self._scope.get(name, ((), ()))
        found = bisect_left(places, self.position[stage] + 1)
        return providers[found - 1] if found else ""

    def giver(self, stage: str, name: str) -> str | None:
        """The last stage above whose outputs, as far as the code says, hold the name."""
        places = self._givers.get(name, ())
        found = bisect_left(places, self.position[stage])
        return self.stages[places[found - 1]].name if found else None

    def in_order(self, ids: Iterable[str]) -> tuple[Snippet, ...]:
        """Those definitions, in notebook order; ids that are not there are left out."""
        return tuple(self.snippets[ident] for ident in sorted({*ids} & self._order.keys(), key=self._order.__getitem__))


class _This:
    """A pipeline, equal to itself alone: to compare what it holds would cost what the index saves."""

    __slots__ = ("pipeline",)

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def __hash__(self) -> int:
        return id(self.pipeline)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _This) and self.pipeline is other.pipeline


@functools.lru_cache(maxsize=_MOST)
def _index(this: _This) -> Index:
    return Index(this.pipeline)


def index_of(pipeline: Pipeline) -> Index:
    """The pipeline's index; the same one as long as it is among the last that were asked for."""
    return _index(_This(pipeline))
