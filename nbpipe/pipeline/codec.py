"""Canonical bytes of a pipeline and its version: equal pipelines give equal bytes, on any machine."""

from __future__ import annotations

import msgspec
from blake3 import blake3

from nbpipe.errors import PipelineError
from nbpipe.model import Pipeline

#: The newest schema this version writes; it reads this one and all before it.
SCHEMA = 2


def encode(pipeline: Pipeline) -> bytes:
    """JSON with sorted keys and no spaces. What a pipeline holds is plain (`values.is_plain`), so this is exact."""
    return msgspec.json.encode(pipeline, order="sorted")


def decode(data: bytes) -> Pipeline:
    """The pipeline in `data`. Raises `PipelineError` when it is malformed, or newer than this version can read."""
    try:
        pipeline = msgspec.json.decode(data, type=Pipeline)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PipelineError(f"not a pipeline that can be read: {error}") from error
    if pipeline.schema > SCHEMA:
        raise PipelineError(
            f"the pipeline has schema {pipeline.schema}, this version reads up to {SCHEMA}", fix="Upgrade nbpipe."
        )
    return pipeline


def version_of(pipeline: Pipeline) -> str:
    """The hash of the canonical bytes, the field `version` itself left empty.

    Edges do not count: they follow from the stages, and what was observed on one machine adds some. Nor do the marks of
    modules: their comments may change.
    """
    return blake3(encode(msgspec.structs.replace(pipeline, version="", edges=(), module_marks={}))).hexdigest()


def stamped(pipeline: Pipeline) -> Pipeline:
    """The same pipeline, with its version."""
    return msgspec.structs.replace(pipeline, version=version_of(pipeline))
