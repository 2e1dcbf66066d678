"""The pipeline of an exported folder as a run sees it: with its parameters, and the edges that were observed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nbpipe.dataflow.links import edges
from nbpipe.errors import ParameterError
from nbpipe.model import Param, Pipeline, Stage
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
    own = {param.name: param for param in site.pipeline.params if not param.required}
    return {name: value for name, value in values.items() if name not in own or not _is_default(own[name], value)}


def _is_default(param: Param, value: object) -> bool:
    """Equal to the byte: 1 is not 1.0, unless a scheduler has made it one because the parameter is declared as float."""
    if param.type == "float" and type(value) is float and type(param.default) is int:
        return value == param.default
    return msgspec.json.encode(value, order="sorted") == msgspec.json.encode(param.default, order="sorted")
