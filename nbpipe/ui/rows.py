"""From what history knows of a run to the row that is shown: bounded, and only what JSON in a browser can hold."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from nbpipe.history.summary import RunSummary
from nbpipe.run.state import RunState, StageState
from nbpipe.ui.views import ProgressView, RunRow, Scalar, StageRow

#: Longest text of a value, and most names of a kind, in a row.
LONGEST = 300
MOST = 400
#: Integers beyond it are not exact in a browser.
_EXACT = 2**53
_OVER = ("cached", "succeeded", "failed", "rejected", "timeout", "lost", "cancelled", "skipped")


def run_row(summary: RunSummary) -> RunRow:
    """The row of a run or trial."""
    failure = summary.failure.message if summary.failure is not None else ""
    return RunRow(
        run=summary.run,
        status=summary.status,
        kind=summary.kind,
        name=clip(summary.name),
        version=f"v{summary.number}" if summary.number else summary.version[:7],
        stage=summary.stage,
        started=summary.started,
        seconds=summary.seconds if summary.ended else None,
        params={clip(name): scalar(value) for name, value in _some(summary.params)},
        given=tuple(map(clip, summary.given[:MOST])),
        metrics=finite(summary.metrics),
        tags={clip(name): clip(text) for name, text in _some(summary.tags)},
        user=clip(summary.user),
        commit=summary.commit[:7],
        done=sum(number for status, number in summary.stages.items() if status in _OVER),
        stages=sum(summary.stages.values()),
        broken=summary.broken[:MOST],
        failure=clip(failure),
    )


def progress_view(summary: RunSummary, state: RunState, now: float) -> ProgressView:
    """The run, stage by stage, as it stands at `now`."""
    return ProgressView(
        row=run_row(summary), stages=tuple(map(_stage_row, state.stages)), warnings=state.warnings[:MOST], now=now
    )


def _stage_row(stage: StageState) -> StageRow:
    cached = stage.status == "cached" and stage.source
    return StageRow(
        name=stage.name,
        status=stage.status,
        kind=stage.kind,
        started=stage.started,
        seconds=stage.seconds,
        expected=stage.expected,
        reason=f"from {stage.source}" if cached else clip("; ".join(stage.reasons)),
        metrics=finite(stage.metrics),
        failure=clip(stage.failure.message) if stage.failure is not None else "",
    )


def scalar(value: Any) -> Scalar:
    """The value itself, or its JSON as text where a browser could not hold it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clip(value)
    if isinstance(value, int) and abs(value) < _EXACT:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return clip(json.dumps(value, ensure_ascii=False, default=str))


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Those that JSON has a number for."""
    return {clip(name): value for name, value in _some(metrics) if math.isfinite(value)}


def clip(text: str) -> str:
    """The text, cut where it is longer than a row should carry."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _some(items: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(items.items())[:MOST]
