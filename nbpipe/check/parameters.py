"""Parameters that change nothing."""

from __future__ import annotations

import ast

from nbpipe.check.findings import Finding
from nbpipe.check.places import statements_of
from nbpipe.model import Outline, Pipeline


def unread_parameters(pipeline: Pipeline, outline: Outline) -> list[Finding]:
    """A finding per parameter that no stage, no setup cell and no other parameter reads."""
    if any(stage.flow.dynamic for stage in pipeline.stages):
        return []
    used = {name for stage in pipeline.stages for name in stage.flow.params}
    used |= {name for text in _thresholds(pipeline) for name in text}
    for _, node in statements_of((*outline.params, *outline.setup)):
        used |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}
    return [
        Finding(
            severity="warning",
            code="unread-parameter",
            message=f"no stage reads the parameter '{param.name}'",
            fix="Use it in a stage, or take it away: a value given for it changes nothing.",
            cell=param.cell or None,
            line=param.line or None,
            name=param.name,
        )
        for param in pipeline.params
        if param.name not in used
    ]


def _thresholds(pipeline: Pipeline) -> list[set[str]]:
    """Names in the thresholds of checks, which may be parameters."""
    found = []
    for stage in pipeline.stages:
        for text in stage.options.thresholds:
            tree = ast.parse(text, mode="eval")
            found.append({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
    return found
