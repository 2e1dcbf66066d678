"""What came of a run, at its end: the last lines for people, the last line for programs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from nbpipe.cli.failure import error_text, failure_error, how_to_go_on
from nbpipe.cli.render import BOLD, DIM, PLAIN, STATUS, Part, paint
from nbpipe.cli.shapes import SCHEMA, error_shape, print_json, stage_shape
from nbpipe.cli.text import coloured, duration, line, metric
from nbpipe.run.state import RunState

if TYPE_CHECKING:
    from nbpipe.run.api import RunResult

_METRICS = 4


def show_result(result: RunResult, state: RunState, notebook: Path, out: TextIO, *, quiet: bool, as_json: bool) -> None:
    """Print warnings, the failure and the last line on `out`; with `as_json`, JSON on standard output behind them."""
    from nbpipe.cli.main import wants_color
    from nbpipe.run.project import find_project

    project = find_project(notebook)
    color = wants_color()
    if result.up_to_date and as_json:
        from nbpipe.history.alive import is_alive
        from nbpipe.history.state import run_state

        # Nothing ran, so nothing was told: what the earlier run told counts.
        state = run_state(project.run_folder(result.run), is_alive)

    def say(parts: list[Part]) -> None:
        click.echo(paint(parts), file=out, color=color)

    if not quiet and not result.up_to_date:
        for text in result.warnings:
            say([("warning: ", {"fg": "yellow"}), (line(text), PLAIN)])
    stage = _broken(state)
    if result.failure is not None:
        if result.failure.traceback:
            click.echo(coloured(result.failure.traceback).rstrip("\n"), err=True, color=color)
        error = how_to_go_on(failure_error(result.failure, stage, result.exit_code), project, state, stage)
        text = error_text(error).removeprefix("nbpipe:")
        click.echo(click.style("nbpipe:", fg="red", bold=True) + text, err=True, color=color)
    if not quiet and not result.up_to_date:
        say([("executed notebook: ", DIM), (line(_short(result.notebook)), PLAIN)])
    say(last_line(result, state, _before(result, project)))
    if as_json:
        print_json(result_shape(result, state, stage))


def last_line(result: RunResult, state: RunState, before: Mapping[str, Any] | None) -> list[Part]:
    """`r43 ✓ succeeded in 1:12   acc 0.921 (▲ 0.007 against r41)`; `up to date (r41)`."""
    if result.up_to_date:
        return [("up to date", STATUS["up-to-date"][1]), (f" ({result.run})", PLAIN)]
    symbol, style = STATUS.get(result.status, ("?", PLAIN))
    parts: list[Part] = [(f"{result.run} ", BOLD), (f"{symbol} {result.status}", style)]
    parts.append((f" in {duration(result.seconds)}", PLAIN))
    if result.status == "succeeded":
        metrics = state.metrics
        old = before["metrics"] if before is not None else {}
        words = [_metric(name, metrics[name], old.get(name)) for name in list(metrics)[:_METRICS]]
        if words:
            parts.append(("   " + "  ".join(words), PLAIN))
        if before is not None and any(name in old and old[name] != metrics[name] for name in metrics):
            parts.append((f"   against {before['run']}", DIM))
    elif result.status in ("failed", "rejected"):
        parts.append((f"   more: nbpipe show {result.run}, nbpipe logs {result.run}", DIM))
    return parts


def result_shape(result: RunResult, state: RunState, stage: str | None) -> dict[str, Any]:
    """The last line for programs."""
    stages = [stage_shape(item) for item in state.stages]
    if result.up_to_date:
        stages = [{**item, "status": "cached", "seconds": 0.0, "reason": f"from {result.run}"} for item in stages]
    return {
        "schema": SCHEMA,
        "run": result.run,
        "status": result.status,
        "exit_code": result.exit_code,
        "notebook": str(Path(result.notebook).resolve()),
        "version": result.version,
        "number": result.number,
        "seconds": round(result.seconds, 3),
        "metrics": state.metrics,
        "warnings": list(result.warnings),
        "stages": stages,
        "error": error_shape(result.failure, stage),
    }


def _broken(state: RunState) -> str | None:
    return next((stage.name for stage in state.stages if stage.failure is not None), None)


def _before(result: RunResult, project: Any) -> dict[str, Any] | None:
    """The run before this one that succeeded on the same pipeline: what its metrics are compared with."""
    if result.status != "succeeded":
        return None
    from nbpipe.history.query import detail, runs

    name = detail(project, result.run).summary.name
    rows = runs(project, notebook=name, status="succeeded", limit=2)
    other = next((row for row in rows if row.run != result.run), None)
    return {"run": other.run, "metrics": other.metrics} if other is not None else None


def _metric(name: str, now: float, before: float | None) -> str:
    text = f"{line(name)} {metric(now)}"
    if before is None or before == now:
        return text
    return f"{text} ({'▲' if now > before else '▼'} {metric(abs(now - before))})"


def _short(path: Path) -> str:
    """The path from here where that is shorter."""
    import os

    try:
        return min(os.path.relpath(path), str(path), key=len)
    except ValueError:
        return str(path)
