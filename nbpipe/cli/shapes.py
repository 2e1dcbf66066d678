"""The JSON that commands print, built in one place; `docs/formats/cli-json.md` specifies it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click
import msgspec

if TYPE_CHECKING:
    from nbpipe.history.query import RunDetail
    from nbpipe.history.search import Page
    from nbpipe.history.summary import RunSummary
    from nbpipe.model import Decision, Failure, Plan
    from nbpipe.run.state import StageState

#: Raised when a field changes its meaning or goes away; new fields may come without.
SCHEMA = 1


def print_json(shape: object) -> None:
    """One line on standard output."""
    click.echo(json.dumps(_finite(shape), ensure_ascii=False, allow_nan=False))


def _finite(shape: Any) -> Any:
    """A metric may be nan or infinite, JSON knows neither: null."""
    if isinstance(shape, float):
        return shape if math.isfinite(shape) else None
    if isinstance(shape, dict):
        return {name: _finite(item) for name, item in shape.items()}
    return [_finite(item) for item in shape] if isinstance(shape, (list, tuple)) else shape


def error_shape(failure: Failure | None, stage: str | None) -> dict[str, Any] | None:
    """Why a run did not succeed."""
    if failure is None:
        return None
    return {
        "code": failure.code,
        "message": failure.message,
        "stage": stage,
        "cell": failure.cell,
        "line": failure.line,
        "name": failure.name,
        "fix": failure.fix or None,
        "traceback": failure.traceback or None,
    }


def stage_shape(stage: StageState) -> dict[str, Any]:
    """One stage of a run."""
    reason = f"from {stage.source}" if stage.status == "cached" and stage.source else "; ".join(stage.reasons)
    return {
        "name": stage.name,
        "kind": stage.kind,
        "status": stage.status,
        "seconds": round(stage.seconds, 3),
        "reason": reason,
        "metrics": stage.metrics,
        "attempt": stage.attempt,
        "source": stage.source or None,
        "on": stage.on or None,
        "continued": list(stage.continued),
        "error": error_shape(stage.failure, stage.name),
    }


def summary_shape(summary: RunSummary) -> dict[str, Any]:
    """A row of the history."""
    return {
        "run": summary.run,
        "status": summary.status,
        "pipeline": summary.name,
        "notebook": summary.notebook,
        "version": summary.version,
        "number": summary.number,
        "started": summary.started,
        "ended": summary.ended or None,
        "seconds": round(summary.seconds, 3),
        "params": summary.params,
        "given": list(summary.given),
        "metrics": summary.metrics,
        "stages": summary.stages,
        "broken": list(summary.broken),
        "warnings": summary.warnings,
        "kind": summary.kind,
        "user": summary.user,
        "commit": summary.commit,
        "tags": summary.tags,
    }


def page_shape(page: Page) -> dict[str, Any]:
    """A page of the history."""
    return {
        "schema": SCHEMA,
        "total": page.total,
        "offset": page.offset,
        "problems": list(page.problems),
        "unknown": list(page.unknown),
        "runs": [_row_shape(item) for item in page.rows],
    }


def _row_shape(summary: RunSummary) -> dict[str, Any]:
    failed = {"failure": summary.failure.message if summary.failure is not None else None}
    place = {"source": summary.source or "local", "mlflow": summary.mlflow or None}
    return {**summary_shape(summary), "stage": summary.stage or None, **failed, **place}


def detail_shape(found: RunDetail) -> dict[str, Any]:
    """One run with its stages."""
    state = found.state
    broken = next((stage.name for stage in state.stages if stage.failure is not None), None)
    return {
        "schema": SCHEMA,
        **summary_shape(found.summary),
        "source": found.summary.notebook,
        "notebook": str(found.executed) if found.executed is not None else None,
        "folder": str(found.folder),
        "warnings": list(state.warnings),
        "stages": [stage_shape(stage) for stage in state.stages],
        "error": error_shape(state.failure, broken),
    }


def plan_shape(plan: Plan) -> dict[str, Any]:
    """What a run would do."""
    return {
        "schema": SCHEMA,
        "pipeline": plan.pipeline,
        "version": plan.version,
        "up_to_date": all(item.action == "HIT" for item in plan.decisions) and not plan.restores,
        "restores": list(plan.restores),
        "expected": _expected(plan),
        "stages": [_decision(item) for item in plan.decisions],
        "warnings": list(plan.warnings),
    }


def _expected(plan: Plan) -> dict[str, Any]:
    """Of the stages that run, one after the other."""
    running = [item for item in plan.decisions if item.action == "RUN"]
    known = [item.expected for item in running if item.expected is not None]
    unknown = [item.stage for item in running if item.expected is None]
    return {"seconds": round(sum(known), 3), "known": len(known), "unknown": unknown}


def _decision(item: Decision) -> dict[str, Any]:
    shape = msgspec.to_builtins(item)
    return {
        "name": item.stage,
        "action": item.action,
        "reasons": list(item.reasons),
        "tentative": item.tentative,
        "expected": item.expected,
        "source": item.source or None,
        "on": item.on or None,
        "key": shape.get("key") or None,
    }
