"""The identity of code: what stays equal when only comments and formatting change."""

from __future__ import annotations

import functools

import msgspec
from blake3 import blake3

from nbpipe.dataflow.transform import normalized
from nbpipe.model import Code, Pipeline, Snippet, Stage


@functools.lru_cache(maxsize=4096)
def fingerprint(body: str) -> str:
    """The hash of the normalised code."""
    return digest(normalized(body))


def digest(text: str) -> str:
    """blake3 of the text, hex; a lone surrogate counts like any other character."""
    return blake3(text.encode("utf-8", "surrogatepass")).hexdigest()


def cell_prints(cells: tuple[Code, ...]) -> list[str]:
    """One fingerprint per cell; a cell that may raise is another cell."""
    return [fingerprint(code.body) + (":may-raise" if code.may_raise else "") for code in cells]


def snippet_print(snippet: Snippet) -> str:
    """Fingerprint of a definition, with what it defines."""
    return f"{snippet.kind} {','.join(snippet.names)} {fingerprint(snippet.source)}"


def definitions_of(pipeline: Pipeline, stage: Stage) -> tuple[Snippet, ...]:
    """The definitions that the stage is known to need, in notebook order; parameters are not among them."""
    wanted = set(stage.flow.definitions)
    return tuple(snippet for snippet in pipeline.snippets if snippet.id in wanted and snippet.kind != "param")


def code_hash(pipeline: Pipeline, stage: Stage) -> str:
    """Identity of what the stage runs: its cells, setup, and definitions; neither inputs nor parameter values."""
    parts = {
        "cells": cell_prints(stage.cells),
        "setup": cell_prints(pipeline.setup),
        "definitions": [snippet_print(snippet) for snippet in definitions_of(pipeline, stage)],
    }
    return blake3(msgspec.json.encode(parts, order="sorted")).hexdigest()
