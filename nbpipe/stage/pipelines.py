"""The pipeline of an exported folder as a run sees it: with its parameters, and the edges that were observed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nbpipe.dataflow.links import edges
from nbpipe.errors import ParameterError
from nbpipe.model import Pipeline, Stage
from nbpipe.pipeline.code import code_hash
from nbpipe.pipeline.params import resolve_params
from nbpipe.stage.site import Site
from nbpipe.store import Store


def observed(pipeline: Pipeline, store: Store) -> Pipeline:
    """The pipeline with the edges that runs in this store have shown."""
    facts = {s.name: seen for s in pipeline.stages if (seen := store.hints.observed(code_hash(pipeline, s)))}
    return msgspec.structs.replace(pipeline, edges=edges(pipeline.stages, facts))


def with_retries(pipeline: Pipeline, name: str, retries: int) -> Pipeline:
    """The pipeline, with so many retries of one stage: they are no part of what it gives."""

    def changed(stage: Stage) -> Stage:
        options = msgspec.structs.replace(stage.options, retries=retries)
        return msgspec.structs.replace(stage, options=options) if stage.name == name else stage

    return msgspec.structs.replace(pipeline, stages=tuple(map(changed, pipeline.stages)))


def values_of(site: Site, params: Mapping[str, Any], texts: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that differ from the notebook's defaults: `params` are values, `texts` are read by type, and win.

    Raises ParameterError.
    """
    known = {param.name for param in site.pipeline.params}
    given = {**site.manifest.params, **params}
    for name in given:
        if name not in known:
            raise ParameterError(f"there is no parameter {str(name)[:80]!a}", name=str(name)[:80])
    values = resolve_params(site.pipeline.params, texts, None, {}, earlier=given)
    # Schedulers give every parameter a value: those that are the notebook's own are not said to be given.
    defaults = {param.name: param.default for param in site.pipeline.params if not param.required}
    return {name: value for name, value in values.items() if name not in defaults or not _equal(value, defaults[name])}


def _equal(one: object, other: object) -> bool:
    """Equal to the byte: 1 is not 1.0."""
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")
