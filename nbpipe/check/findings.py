"""Something that is wrong with a notebook, or may be, and what one click would do about it."""

from __future__ import annotations

from typing import Literal

import msgspec

from nbpipe.errors import NbpipeError, PipelineError

Severity = Literal["error", "warning", "info"]
ActionKind = Literal["tag-cell", "untag-cell", "replace-source", "run-cell", "install"]


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A fix. `source` is the magic line, the cell's new text, or the packages to install."""

    kind: ActionKind
    label: str
    cell: int | None = None
    source: str | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """An `error` prevents a run, or is certain to end it; a `warning` may; `info` is worth knowing."""

    severity: Severity
    code: str
    message: str
    fix: str = ""
    cell: int | None = None
    line: int | None = None
    stage: str = ""
    #: The variable, parameter, file or package it is about.
    name: str = ""
    actions: tuple[Action, ...] = ()


def finding_of(error: NbpipeError, actions: tuple[Action, ...] = ()) -> Finding:
    """An error that the notebook would raise."""
    return Finding(
        severity="error",
        code=error.code,
        message=error.message,
        fix=error.fix or "",
        cell=error.cell,
        line=error.line,
        stage=error.stage or "",
        name=error.name or "",
        actions=actions,
    )


def error_of(finding: Finding) -> NbpipeError:
    """A finding as an error, to be shown as all errors are."""
    error = PipelineError(
        finding.message,
        stage=finding.stage or None,
        cell=finding.cell,
        line=finding.line,
        name=finding.name or None,
        fix=finding.fix or None,
    )
    error.code = finding.code
    return error
