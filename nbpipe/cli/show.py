"""`nbpipe show`: one run in detail."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from nbpipe.cli.arguments import json_option, run_argument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbpipe.history.query import RunDetail
    from nbpipe.run.project import Project
    from nbpipe.run.state import StageState


@click.command("show")
@run_argument()
@click.option("--stage", metavar="STAGE", help="Only this stage, with all its metrics and its traceback.")
@json_option()
def command(run: str, stage: str | None, *, as_json: bool) -> None:
    """Show one run: its stages, parameters and metrics.

    RUN is r43, 43 or latest (the default).

    \b
    Examples:
      nbpipe show
      nbpipe show r43 --stage train
      nbpipe show r43 --json
    """  # noqa: D301 - click's mark
    from nbpipe.cli.places import project_of
    from nbpipe.history.query import detail, find_run
    from nbpipe.tracking.outbox import flush

    project = project_of()
    found = detail(project, find_run(project, run))
    flush(project.root)
    chosen = _stage(found, stage) if stage is not None else None
    if as_json:
        from nbpipe.cli.shapes import SCHEMA, detail_shape, print_json, stage_shape

        shape = {"schema": SCHEMA, "run": found.summary.run} | stage_shape(chosen) if chosen else detail_shape(found)
        print_json(shape)
    elif chosen is not None:
        _print_stage(project, found, chosen)
    else:
        _print_run(project, found)


def _stage(found: RunDetail, name: str) -> StageState:
    from nbpipe.errors import UsageError

    for stage in found.state.stages:
        if stage.name == name:
            return stage
    names = ", ".join(stage.name for stage in found.state.stages) or "none"
    raise UsageError(f"{found.summary.run} has no stage '{name}'", name=name, fix=f"Its stages: {names}")


def _print_run(project: Project, found: RunDetail) -> None:
    import shutil

    from nbpipe.cli.render import BOLD, PLAIN, header, paint, stage_lines, status_parts
    from nbpipe.cli.text import duration, line

    summary, state = found.summary, found.state
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    took = f" in {duration(summary.seconds)}" if summary.ended else ""
    click.echo(
        paint([(f"{summary.run} ", BOLD), *status_parts(summary.status, 0), (f"{took}   ", PLAIN), *header(state)])
    )
    for text in stage_lines(state.stages, columns=columns):
        click.echo(text)
    if summary.started:
        _facts({"started": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(summary.started))})
    _facts({"notebook": line(summary.notebook), "executed": line(str(found.executed)) if found.executed else ""})
    _values("parameters", summary.params)
    _values("metrics", summary.metrics)
    for text in state.warnings:
        click.echo(f"  {click.style('warning:', fg='yellow')} {line(text)}")
    broken = next((stage for stage in state.stages if stage.failure is not None), None)
    if broken is not None:
        _failure(project, found, broken)


def _print_stage(project: Project, found: RunDetail, stage: StageState) -> None:
    from nbpipe.cli.render import BOLD, paint, reasons_text, status_parts
    from nbpipe.cli.text import coloured, duration

    click.echo(paint([(f"{found.summary.run} {stage.name} ", BOLD), *status_parts(stage.status)]))
    _facts(
        {
            "reason": reasons_text(stage.reasons),
            "from": stage.source,
            "on": stage.on,
            "took": duration(stage.seconds) if stage.seconds else "",
            "attempt": str(stage.attempt) if stage.attempt > 1 else "",
        }
    )
    _values("metrics", stage.metrics)
    if stage.failure is not None:
        if stage.failure.traceback:
            click.echo(coloured(stage.failure.traceback).rstrip("\n"))
        _failure(project, found, stage)


def _failure(project: Project, found: RunDetail, stage: StageState) -> None:
    from nbpipe.cli.failure import error_text, failure_error, how_to_go_on

    assert stage.failure is not None  # noqa: S101 - both callers have looked
    error = failure_error(stage.failure, stage.name, 1)
    click.echo(error_text(how_to_go_on(error, project, found.state, stage.name)))


def _facts(facts: Mapping[str, str]) -> None:
    for name, text in facts.items():
        if text:
            click.echo(f"  {click.style(f'{name:<10}', dim=True)} {text}")


def _values(title: str, values: Mapping[str, object]) -> None:
    from nbpipe.cli.text import line, metric, value

    words = [
        f"{line(name)}={metric(item) if isinstance(item, float) else value(item)}" for name, item in values.items()
    ]
    if words:
        click.echo(f"  {click.style(f'{title:<10}', dim=True)} {'  '.join(words)}")
