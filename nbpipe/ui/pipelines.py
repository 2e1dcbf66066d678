"""View models of a pipeline, of what is wrong with it, and of what a run of it would do; `docs/formats/rest.md` specifies them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

#: Raised when a field changes its meaning or goes away; new fields may come without.
SCHEMA = 1

Severity = Literal["error", "warning", "info"]
ActionKind = Literal["tag-cell", "untag-cell", "replace-source", "run-cell", "install"]


class StageView(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of the graph. `ids` are the ids of its `cells`, "" for one that has none."""

    name: str
    kind: Literal["stage", "check"]
    cells: tuple[int, ...] = ()
    ids: tuple[str, ...] = ()
    #: As the magic line says them: those that are not at their default.
    options: dict[str, Any] = {}
    #: Variable -> stage it comes from.
    inputs: dict[str, str] = {}
    outputs: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    #: Files, as the code and the line name them.
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


class EdgeView(msgspec.Struct, frozen=True, kw_only=True):
    """An arrow of the graph."""

    source: str
    target: str
    names: tuple[str, ...]
    kind: str


class ParamView(msgspec.Struct, frozen=True, kw_only=True):
    """A field of the form. `default` is null where the notebook computes it."""

    name: str
    type: str
    default: Any
    choices: tuple[Any, ...] | None
    help: str
    required: bool
    #: Its value would be a secret: parameters are recorded, so it belongs into `nbpipe.secret`.
    secret: bool = False


class ActionView(msgspec.Struct, frozen=True, kw_only=True):
    """A fix of one click. `source` is the magic line, the cell's new text, or what is to be installed."""

    kind: ActionKind
    label: str
    cell: int | None = None
    id: str = ""
    source: str | None = None


class ProblemView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong with the notebook, or may be."""

    severity: Severity
    code: str
    message: str
    fix: str = ""
    cell: int | None = None
    id: str = ""
    line: int | None = None
    stage: str = ""
    #: The variable, parameter, file or package it is about.
    name: str = ""
    actions: tuple[ActionView, ...] = ()


class PipelineView(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook as a pipeline, as far as it is one."""

    name: str
    version: str = ""
    #: Running number of the version; null for one that never ran.
    number: int | None = None
    stages: tuple[StageView, ...] = ()
    edges: tuple[EdgeView, ...] = ()
    params: tuple[ParamView, ...] = ()
    profiles: dict[str, dict[str, Any]] = {}
    problems: tuple[ProblemView, ...] = ()
    #: Names of the secrets the code asks for.
    secrets: tuple[str, ...] = ()
    schema: int = SCHEMA


class PlanStageView(msgspec.Struct, frozen=True, kw_only=True, rename={"source": "from"}):
    """What a run would do with a stage. `unknown`: it runs only if what stands above it gives something else."""

    name: str
    kind: Literal["stage", "check"]
    action: Literal["hit", "run", "unknown"]
    reason: str = ""
    expected: float | None = None
    #: Run whose result is reused.
    source: str | None = None


class PlanView(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would do."""

    #: The run that has everything already; null where there is something to do.
    up_to_date: str | None = None
    stages: tuple[PlanStageView, ...] = ()
    warnings: tuple[str, ...] = ()
    schema: int = SCHEMA


class SuggestedCell(msgspec.Struct, frozen=True, kw_only=True):
    """A cell and the magic line to put in front of it."""

    cell: int
    id: str
    line: str
    role: str
    name: str
    why: str = ""


class SuggestView(msgspec.Struct, frozen=True, kw_only=True):
    """Stages for a notebook that has none, and the pipeline it would be."""

    cells: tuple[SuggestedCell, ...]
    pipeline: PipelineView
    #: To be merged into the notebook's `metadata.nbpipe` when the proposal is taken.
    metadata: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    schema: int = SCHEMA
