"""The shape of a diff: the JSON of `docs/formats/diff.md`. What data and outputs look like stands in `shape_values`.

`A` is the earlier or left side, `B` the later or right one. Fields at their default are left out of the JSON; numbers that
JSON does not have (NaN, infinities) are null. Texts are data: they are to be shown as text and never as markup.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from nbpipe.history.difference.shape_values import FileDiff, Hunk, OutputDiff, Shape, ValueDiff

SCHEMA = 1

Part = Literal["code", "params", "metrics", "environment", "data", "outputs"]
#: In the order in which people read them.
PARTS: tuple[Part, ...] = ("code", "params", "metrics", "environment", "data", "outputs")
Change = Literal["same", "changed", "added", "removed"]
Fate = Literal["same", "changed", "added", "removed", "renamed"]


class Side(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """What stands on one side. Times are seconds since the epoch, durations seconds."""

    #: As people name it: "r41", "t12", "now".
    label: str
    kind: Literal["run", "trial", "notebook"]
    #: Path of the source notebook, from the project.
    notebook: str = ""
    #: Name of the pipeline, its version (content hash) and the running number of that.
    name: str = ""
    version: str = ""
    number: int = 0
    status: str = ""
    started: float = 0.0
    seconds: float = 0.0
    #: The stage of a trial.
    stage: str = ""


class StageDiff(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """One stage, found again on the other side by its name or by what it does."""

    #: Name in B, or in A for one that was removed.
    name: str
    #: "renamed": another name, found by its code; `differs` says what else is not the same.
    change: Fate
    kind: str = "stage"
    #: Names on either side; "" where it is not there.
    a: str = ""
    b: str = ""
    #: Stands elsewhere among the stages that both sides have.
    moved: bool = False
    #: How much of the code is alike, 0 to 1.
    similarity: float = 1.0
    #: Parts in which this stage differs, of those that were looked at.
    differs: tuple[Part, ...] = ()
    #: Why its result could not be the same, one line each: "`lr` 0.001 → 0.01".
    reasons: tuple[str, ...] = ()
    #: How it ended: "succeeded", "cached", …; "" where it has not run.
    a_status: str = ""
    b_status: str = ""
    a_seconds: float = 0.0
    b_seconds: float = 0.0


class CellStart(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """From `line` of a text on (from 1), it is the text of notebook cell `cell` (from 1), there from line `first` on."""

    cell: int
    line: int
    first: int = 1


class CodeText(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of code on one side: as it stands in the notebook, magic line included."""

    name: str
    text: str = ""
    #: Where the cells in it begin; empty for a module.
    cells: tuple[CellStart, ...] = ()
    #: File of a module, from the notebook's folder.
    path: str = ""
    #: The text was longer than what is kept of it.
    cut: bool = False


class CodeDiff(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """A stage, a setup cell, a definition or a local module whose text is not the same (or any, where all was asked for)."""

    name: str
    unit: Literal["stage", "setup", "definition", "module"]
    change: Fate
    #: What the change means: "none", only "format" (comments, spaces), only "options" of the magic line, or "code".
    meaning: Literal["none", "format", "options", "code"] = "none"
    a: CodeText | None = None
    b: CodeText | None = None
    #: Stages that run it: names in B, in A for what was removed.
    stages: tuple[str, ...] = ()
    similarity: float = 1.0
    #: Lines that only B has, and only A.
    lines_added: int = 0
    lines_removed: int = 0
    hunks: tuple[Hunk, ...] = ()


class ParamValue(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """A parameter on one side."""

    value: Any = None
    #: What the notebook says.
    default: Any = None
    #: The run was given it, or took it from a profile.
    given: bool = False
    type: str = ""
    help: str = ""
    #: The statement, where the default is computed.
    source: str = ""
    #: `value` is text that shows the beginning of a long one.
    cut: bool = False


class ParamDiff(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """A parameter whose value, default or declaration is not the same."""

    name: str
    change: Change
    a: ParamValue | None = None
    b: ParamValue | None = None
    #: Whether the value differs: what was computed may be the same although a default changed.
    value_changed: bool = False
    #: Stages that read it: names in B, in A for what was removed.
    stages: tuple[str, ...] = ()
    #: "given to r43", "the notebook's default changed", …
    reason: str = ""


class CurveDiff(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """A metric that was logged several times: `[step, value]` in order, thinned to what a plot can show."""

    a: tuple[tuple[int, float | None], ...] = ()
    b: tuple[tuple[int, float | None], ...] = ()
    #: Points that were logged.
    a_points: int = 0
    b_points: int = 0
    same: bool = False


class MetricDiff(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """A metric of a stage: its final values, and its curve where it has one."""

    name: str
    change: Change
    #: Stage in B, or in A for what was removed; `a_stage` only where it has another name there.
    stage: str = ""
    a_stage: str = ""
    a: float | None = None
    b: float | None = None
    #: b - a, and that relative to |a|.
    delta: float | None = None
    relative: float | None = None
    curve: CurveDiff | None = None


class EnvironmentDiff(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """One fact about where and with what it ran. `a` and `b` are null where it is not known."""

    group: Literal["python", "package", "gpu", "git", "machine"]
    name: str
    change: Change
    a: str | None = None
    b: str | None = None
    #: Of `uncommitted`: what changed in the changes that were not committed.
    hunks: tuple[Hunk, ...] = ()


class Note(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """Something that could not be compared, and why. `part` is empty for what concerns all."""

    text: str
    part: str = ""


class Diff(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """What differs between A and B. Unless all was asked for, lists hold differences only; `stages` holds every stage."""

    #: Always written: who reads it looks here first.
    schema: int = msgspec.field(default_factory=lambda: SCHEMA)
    a: Side
    b: Side
    #: What was looked at.
    parts: tuple[Part, ...]
    #: Nothing that was looked at differs.
    same: bool
    #: Part -> how many differences; files count with the data. Renamed and moved stages count with the code.
    counts: dict[str, int]
    stages: tuple[StageDiff, ...] = ()
    code: tuple[CodeDiff, ...] = ()
    params: tuple[ParamDiff, ...] = ()
    metrics: tuple[MetricDiff, ...] = ()
    environment: tuple[EnvironmentDiff, ...] = ()
    data: tuple[ValueDiff, ...] = ()
    files: tuple[FileDiff, ...] = ()
    outputs: tuple[OutputDiff, ...] = ()
    notes: tuple[Note, ...] = ()
