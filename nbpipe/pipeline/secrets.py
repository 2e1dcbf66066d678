"""Which secrets the code of a pipeline asks for: the literal names in calls of `nbpipe.secret`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from nbpipe.dataflow.transform import parse
from nbpipe.errors import PipelineError
from nbpipe.model import Pipeline


def secret_names(pipeline: Pipeline, folder: Path) -> tuple[str, ...]:
    """Names, sorted, from all cells, definitions in use and local modules; `folder` is the notebook's."""
    return tuple(sorted({name for body in _bodies(pipeline, folder) if "secret" in body for name in _asked(body)}))


def _bodies(pipeline: Pipeline, folder: Path) -> Iterator[str]:
    used = {ident for stage in pipeline.stages for ident in stage.flow.definitions}
    yield from (code.body for code in pipeline.setup)
    yield from (code.body for stage in pipeline.stages for code in stage.cells)
    yield from (item.source for item in pipeline.snippets if item.id in used or item.kind == "param")
    for path, _ in pipeline.modules.values():
        try:
            yield (folder / path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue  # importing it will say what is wrong with it


def _asked(body: str) -> Iterator[str]:
    """Every call of something named `secret` with one literal text."""
    try:
        tree = parse(body)
    except PipelineError:
        return
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="secret", value=ast.Name()) | ast.Name(id="secret"),
                args=[ast.Constant(value=str() as name)],
                keywords=[],
            ):
                yield name
            case _:
                pass
