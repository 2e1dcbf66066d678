"""What a stage should see, given what the stages above it gave: its inputs, definitions, state, and key. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nbpipe.model import Artifact, FileState, Outcome, Pipeline, Snippet, Stage
from nbpipe.notebook.thresholds import threshold_names
from nbpipe.pipeline.index import Index, index_of
from nbpipe.pipeline.params import effective_params
from nbpipe.plan.key import derived_seed, make_key
from nbpipe.plan.settled import Settled, given, left, settled


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a job of the stage is built from, and the key under which its result is looked up."""

    stage: str
    key: str
    parts: dict[str, str]
    inputs: dict[str, Artifact] = {}
    #: Latest state above, per ambient name; a name not here is at its default.
    ambient: dict[str, Artifact] = {}
    #: In notebook order: parameters, definitions, and what the inputs turned out to hold.
    snippets: tuple[Snippet, ...] = ()
    params: dict[str, Any] = {}
    seed: int = 0
    #: Files that stages above wrote, the latest per path.
    files: dict[str, FileState] = {}
    #: Names it reads that no committed outcome holds.
    missing: tuple[str, ...] = ()
    #: What later stages may read of it: a trace that lacks one of these is of no use.
    outputs: tuple[str, ...] = ()
    #: Current local modules, name -> sha256.
    modules: dict[str, str] = {}
    #: Metrics of the stages above, the latest per name.
    metrics: dict[str, float] = {}


def providers(pipeline: Pipeline, stage: Stage, committed: Mapping[str, Outcome]) -> set[str]:
    """Stages that must be settled before this one can be: givers of its inputs, its order, every edge found so far."""
    index = index_of(pipeline)
    known = settled(pipeline, committed)
    found = index.sources.get(stage.name, set()) | set(stage.after) | set(stage.options.after)
    for name in stage.flow.inputs:
        giver = known.giver(stage.name, name)
        if giver is not None:
            found.add(giver)
    for metric in _threshold_metrics(stage):
        found |= index.measured.get(metric, set())
    here = index.position[stage.name]
    return {name for name in found if index.position.get(name, here) < here}


def wanted(
    pipeline: Pipeline,
    stage_name: str,
    committed: Mapping[str, Outcome],
    params: Mapping[str, Any],
    *,
    seed: int = 0,
    champion: Mapping[str, float] | None = None,
) -> Wanted | None:
    """What the stage should run with; None while one of its providers has no committed outcome.

    `params` are the overridden values (or all effective ones), `seed` is the run's.
    """
    index = index_of(pipeline)
    stage = index.stage(stage_name)
    known = settled(pipeline, committed)
    if any(name not in committed for name in providers(pipeline, stage, known)):
        return None
    needs = _Needs(index, stage, known)
    if not needs.close():
        return None
    done = known.telling(stage_name)
    ambient = {state.name: state.artifact for out in done for state in out.ambient if state.artifact is not None}
    metrics = {name: value for out in done for name, value in out.metrics.items()}
    effective = effective_params(pipeline.params, params)
    reached = {name: effective[name] for name in sorted(needs.params) if name in effective}
    snippets = index.in_order(needs.snippets)
    own = derived_seed(seed, stage_name)
    compared = {name: metrics[name] for name in sorted(_threshold_metrics(stage)) if name in metrics}
    compared |= {f"champion.{name}": (champion or {})[name] for name in _champion(stage) if name in (champion or {})}
    key, parts = make_key(
        pipeline, stage, snippets=snippets, params=reached, inputs=needs.inputs, seed=own, metrics=compared
    )
    return Wanted(
        stage=stage_name,
        key=key,
        parts=parts,
        inputs=needs.inputs,
        ambient=ambient,
        snippets=snippets,
        params=reached,
        seed=own,
        files=left(done),
        missing=tuple(sorted(needs.missing)),
        outputs=stage.flow.outputs,
        modules={name: sha256 for name, (_, sha256) in pipeline.modules.items()},
        metrics=metrics,
    )


class _Needs:
    """Follows what a stage needs to its end: inputs, the definitions they hold, the values those use, and so on."""

    def __init__(self, index: Index, stage: Stage, committed: Settled) -> None:
        self.inputs: dict[str, Artifact] = {}
        self.snippets: set[str] = set(stage.flow.definitions)
        self.params: set[str] = set(stage.flow.params)
        self.missing: set[str] = set()
        self._index = index
        self._stage = stage.name
        self._start = tuple(stage.flow.inputs)
        self._committed = committed
        self._complete = True

    def close(self) -> bool:
        """Whether every giver has committed; afterwards the attributes are complete."""
        for name in self._start:
            self._value(name)
        for ident in sorted(self.snippets):
            if ident in self._index.snippets:
                self._state(self._index.snippets[ident])
        for name in sorted(self.params):
            self._param(name)
        return self._complete

    def _value(self, name: str) -> None:
        if name in self.inputs or name in self.missing:
            return
        giver = self._committed.giver(self._stage, name)
        if giver is not None and giver not in self._committed:
            self._complete = False
            return
        artifact = given(self._committed[giver], name) if giver is not None else None
        if artifact is None:
            self.missing.add(name)
            return
        self.inputs[name] = artifact
        for need in artifact.needs:
            self._name(need)
        for mate in artifact.group:
            self._mate(mate, giver, artifact)

    def _mate(self, name: str, giver: str | None, artifact: Artifact) -> None:
        """A value that shares objects comes with those it shares them with: a change of one is a change of all."""
        if giver is None or self._committed.giver(self._stage, name) != giver:
            return
        mate = given(self._committed[giver], name)
        if mate is not None and mate.group == artifact.group:
            self._value(name)

    def _name(self, name: str) -> None:
        kind, _, target = self._index.provider(self._stage, name).partition(":")
        if kind == "stage":
            self._value(name)
        elif kind == "param":
            self._param(name)
        elif kind == "snippet" and target not in self.snippets:
            self.snippets.add(target)
            snippet = self._index.snippets[target]
            self._state(snippet)
            for need in (*snippet.needs, *snippet.uses):
                self._name(need)

    def _param(self, name: str) -> None:
        self.params.add(name)
        ident = self._index.param_ids.get(name)
        if ident is not None and ident not in self.snippets:
            self.snippets.add(ident)
            for need in self._index.snippets[ident].needs:
                self._name(need)

    def _state(self, snippet: Snippet) -> None:
        """A definition that some stage below it was seen to change or replace arrives as a value of its own name."""
        for name in snippet.names:
            for giver in self._committed.observers(self._stage, name):
                if self._index.stage(giver).cells[-1].cell >= snippet.cell:
                    self._value(name)


def _threshold_metrics(stage: Stage) -> set[str]:
    return {name for text in stage.options.thresholds for name in threshold_names(text)[0]}


def _champion(stage: Stage) -> list[str]:
    return sorted({name for text in stage.options.thresholds for name in threshold_names(text)[1]})
