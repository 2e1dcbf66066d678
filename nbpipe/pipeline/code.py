"""The identity of code: what stays equal when only comments and formatting change."""

from __future__ import annotations

import msgspec
from blake3 import blake3

from nbpipe.model import Code, Pipeline, Snippet, Stage
from nbpipe.pipeline.index import index_of
from nbpipe.pipeline.prints import Prints

_prints = Prints()


def fingerprint(body: str) -> str:
    """The hash of the normalised code."""
    return _prints.of(body)


def prepare(pipeline: Pipeline, place: str) -> None:
    """Before `code_hash` is asked for every stage: what did not change in the notebook at `place` is not parsed again."""
    used = {ident for stage in pipeline.stages for ident in stage.flow.definitions}
    bodies = [code.body for stage in pipeline.stages for code in stage.cells]
    bodies += [code.body for code in pipeline.setup]
    bodies += [item.source for item in index_of(pipeline).in_order(used)]
    _prints.prepare(place, bodies)


def cell_prints(cells: tuple[Code, ...]) -> list[str]:
    """One fingerprint per cell; a cell that may raise is another cell."""
    return [fingerprint(code.body) + (":may-raise" if code.may_raise else "") for code in cells]


def snippet_print(snippet: Snippet) -> str:
    """Fingerprint of a definition, with what it defines."""
    return f"{snippet.kind} {','.join(snippet.names)} {fingerprint(snippet.source)}"


def definitions_of(pipeline: Pipeline, stage: Stage) -> tuple[Snippet, ...]:
    """The definitions that the stage is known to need, in notebook order; parameters are not among them."""
    return tuple(item for item in index_of(pipeline).in_order(stage.flow.definitions) if item.kind != "param")


def code_hash(pipeline: Pipeline, stage: Stage) -> str:
    """Identity of what the stage runs: its cells, setup, and definitions; neither inputs nor parameter values."""
    parts = {
        "cells": cell_prints(stage.cells),
        "setup": cell_prints(pipeline.setup),
        "definitions": [snippet_print(snippet) for snippet in definitions_of(pipeline, stage)],
    }
    return blake3(msgspec.json.encode(parts, order="sorted")).hexdigest()
