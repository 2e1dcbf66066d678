"""`nbpipe stop`: ask the process that drives a run to stop it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from nbpipe.cli.arguments import json_option, run_argument
from nbpipe.errors import EXIT_CODES

if TYPE_CHECKING:
    from nbpipe.run.project import Project

_PATIENCE = 30.0


@click.command("stop")
@run_argument(required=True)
@click.option("--force", is_flag=True, help="Kill the stages that run instead of asking them.")
@json_option()
def command(run: str, *, force: bool, as_json: bool) -> None:
    """Stop a run.

    Stages that are finished stay finished: the next run goes on from there. Exit code 0: it is stopped, or had ended
    before; 4: it does not react.

    \b
    Examples:
      nbpipe stop r43
      nbpipe stop latest --force
    """  # noqa: D301 - click's mark
    from nbpipe.cli.places import project_of
    from nbpipe.history.query import detail, find_run
    from nbpipe.run.stopping import ask_to_stop

    project = project_of()
    name = find_run(project, run)
    if ask_to_stop(project, name, force=force):
        _wait(project, name)
    status = detail(project, name).state.status
    code = EXIT_CODES["lost"] if status == "running" else EXIT_CODES["ok"]
    if as_json:
        from nbpipe.cli.shapes import SCHEMA, print_json

        print_json({"schema": SCHEMA, "run": name, "status": status, "exit_code": code})
    elif status == "running":
        click.echo(f"{name} does not react; kill it: nbpipe stop {name} --force", err=True)
    else:
        click.echo(f"{name} {status}")
    raise click.exceptions.Exit(code)


def _wait(project: Project, run: str) -> None:
    from nbpipe.history.query import detail

    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and detail(project, run).state.status == "running":
        time.sleep(0.1)
