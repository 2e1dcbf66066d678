"""View models: what the widget (and the sidebar) show, as JSON. `docs/formats/view-models.md` specifies them."""

from __future__ import annotations

from typing import Any

import msgspec

#: Raised when a field changes its meaning or goes away; new fields may come without.
SCHEMA = 1
#: What a parameter's value may be here; lists and objects come as JSON text.
Scalar = str | int | float | bool | None


class RunRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row of the table. Times are seconds since the epoch, durations seconds; texts are cut to a bounded length."""

    run: str
    status: str
    kind: str = "run"
    #: Name of the pipeline.
    name: str = ""
    #: `v7`, or the first digits of the version where it has no number.
    version: str = ""
    stage: str = ""
    started: float = 0.0
    #: None while it runs.
    seconds: float | None = None
    params: dict[str, Scalar] = {}
    #: Parameters that the run was given.
    given: tuple[str, ...] = ()
    metrics: dict[str, float] = {}
    tags: dict[str, str] = {}
    user: str = ""
    commit: str = ""
    #: Stages that are over, and all of them.
    done: int = 0
    stages: int = 0
    #: Stages that failed, were rejected, timed out or were lost.
    broken: tuple[str, ...] = ()
    #: Why it did not succeed.
    failure: str = ""


class PageView(msgspec.Struct, frozen=True, kw_only=True):
    """A page of rows, and the columns there are to choose from."""

    rows: tuple[RunRow, ...]
    total: int
    offset: int
    params: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    #: Metrics that were logged several times: those that have a sparkline.
    curves: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    schema: int = SCHEMA


class StageRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stage of a run that is shown while it runs."""

    name: str
    status: str
    kind: str = "stage"
    started: float = 0.0
    seconds: float = 0.0
    expected: float | None = None
    #: Why it runs, or where its result comes from.
    reason: str = ""
    metrics: dict[str, float] = {}
    failure: str = ""


class ProgressView(msgspec.Struct, frozen=True, kw_only=True):
    """A run, stage by stage."""

    row: RunRow
    stages: tuple[StageRow, ...] = ()
    warnings: tuple[str, ...] = ()
    #: Seconds since the epoch on the machine that runs: clocks of browsers differ.
    now: float = 0.0
    schema: int = SCHEMA


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request has no answer."""

    code: str
    message: str
    fix: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the front-end asks: `kind` is page, rows, curves, progress or diff; its answer carries the same `id`."""

    id: str
    kind: str
    body: dict[str, Any] = {}
