"""Parameters that change nothing."""

from __future__ import annotations

from nbpipe.check.findings import Finding
from nbpipe.model import Pipeline
from nbpipe.pipeline.params import unread


def unread_parameters(pipeline: Pipeline) -> list[Finding]:
    """A finding per parameter that no stage reads, nor setup, nor what it defines."""
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
        for param in unread(pipeline.params, pipeline.stages)
    ]
