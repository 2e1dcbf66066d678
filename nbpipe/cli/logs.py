"""`nbpipe logs`: what the stages of a run printed, afterwards or while it runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from nbpipe.cli.arguments import json_option, run_argument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbpipe.history.logs import LogLine
    from nbpipe.run.state import RunState


@click.command("logs")
@run_argument()
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("--stage", metavar="STAGE", help="Only this stage.")
@click.option("--all", "everything", is_flag=True, help="Also of attempts that were made again.")
@json_option("One JSON object a line.")
def command(run: str, stage: str | None, *, follow: bool, everything: bool, as_json: bool) -> None:
    """Print what the stages of a run printed.

    RUN is r43, 43 or latest (the default). Every line begins with its stage, unless --stage names one. Everything is
    here, also what was too long for the executed notebook.

    \b
    Examples:
      nbpipe logs
      nbpipe logs r43 --stage train
      nbpipe logs -f
    """  # noqa: D301 - click's mark
    from nbpipe.cli.places import project_of
    from nbpipe.history.logs import follow_logs, latest_attempts, read_logs
    from nbpipe.history.query import detail, find_run

    project = project_of()
    name = find_run(project, run)
    found = detail(project, name)
    if stage is not None:
        _check_stage(stage, found.state, name)
    if follow:
        pieces: Iterable[LogLine] = follow_logs(
            found.folder, stage, alive=lambda: detail(project, name).state.status == "running"
        )
    else:
        pieces = read_logs(found.folder, stage)
        if not everything:
            pieces = latest_attempts(pieces)
    if as_json:
        for piece in pieces:
            if piece.kind != "mark":
                click.echo(json.dumps(_shape(piece), ensure_ascii=False))
        return
    printed = _print(pieces, found.state, alone=stage is not None)
    if not printed:
        _say_why_empty(found.state, stage)


def _check_stage(stage: str, state: RunState, run: str) -> None:
    from nbpipe.errors import UsageError

    names = [item.name for item in state.stages]
    if names and stage not in names:
        raise UsageError(f"{run} has no stage '{stage}'", name=stage, fix=f"Its stages: {', '.join(names)}")


def _shape(piece: LogLine) -> dict[str, object]:
    return {
        "stage": piece.stage,
        "attempt": piece.attempt,
        "time": piece.time,
        "cell": piece.cell,
        "kind": piece.kind,
        "text": piece.text,
    }


def _print(pieces: Iterable[LogLine], state: RunState, *, alone: bool) -> bool:
    from nbpipe.cli.text import coloured, pad, width

    left = max((width(stage.name) for stage in state.stages), default=0)
    printed = False
    rest: dict[str, str] = {}
    attempts: dict[str, int] = {}

    def say(stage: str, text: str) -> None:
        click.echo(text if alone else f"{click.style(pad(stage, left), dim=True)} │ {text}")

    for piece in pieces:
        if piece.kind == "mark":
            continue
        printed = True
        if attempts.setdefault(piece.stage, piece.attempt) != piece.attempt:
            attempts[piece.stage] = piece.attempt
            say(piece.stage, rest.pop(piece.stage, "") + click.style(f"── attempt {piece.attempt}", dim=True))
        lines = (rest.pop(piece.stage, "") + coloured(_settled(piece.text))).split("\n")
        for text in lines[:-1]:
            say(piece.stage, text)
        if lines[-1]:
            rest[piece.stage] = lines[-1]
    for stage, text in rest.items():
        say(stage, text)
    return printed


def _settled(text: str) -> str:
    """A progress bar draws over itself: of every line only what was drawn last."""
    return "\n".join(part.rstrip("\r").rpartition("\r")[2] for part in text.split("\n"))


def _say_why_empty(state: RunState, stage: str | None) -> None:
    from nbpipe.cli.text import origin

    for item in state.stages:
        if stage in (None, item.name) and item.status == "cached" and item.source:
            told = origin(item.source)
            more = f": nbpipe logs {told}" if told == item.source else ", which keeps no logs"
            click.echo(f"{item.name} was not run; its result is from {told}{more}", err=True)
            return
    click.echo("nothing was printed", err=True)
