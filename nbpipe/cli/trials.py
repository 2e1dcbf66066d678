"""`nbpipe trials`: what was tried in live notebooks, and the code of any of it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from nbpipe.cli.arguments import complete_notebook, json_option

if TYPE_CHECKING:
    from nbpipe.cli.render import Part
    from nbpipe.tracking.trial import Trial

STATUSES = ("succeeded", "failed", "rejected", "cancelled")
_SHOWN = 20


@click.command("trials")
@click.argument("trial", required=False)
@click.option("--notebook", metavar="NOTEBOOK", shell_complete=complete_notebook, help="Only trials of this notebook.")
@click.option("--stage", metavar="STAGE", help="Only trials of this stage.")
@click.option("--status", type=click.Choice(STATUSES), help="Only trials that ended like this.")
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most N trials [default: 20].")
@click.option("--all", "everything", is_flag=True, help="All trials.")
@click.option("--code", is_flag=True, help="Print nothing but the cell as it ran; needs TRIAL.")
@json_option()
def command(
    trial: str | None,
    notebook: str | None,
    stage: str | None,
    status: str | None,
    limit: int | None,
    *,
    everything: bool,
    code: bool,
    as_json: bool,
) -> None:
    """List the trials: every execution of a stage cell in a live notebook.

    TRIAL is t12 or latest: show that one, with its code. In the notebook `%nbpipe restore t12` puts it into the next cell.

    \b
    Examples:
      nbpipe trials
      nbpipe trials --stage train --status succeeded
      nbpipe trials t12
      nbpipe trials t12 --code > cell.py
    """  # noqa: D301 - click's mark
    from nbpipe.cli.places import project_of
    from nbpipe.errors import UsageError
    from nbpipe.history.trials import load_trial, trials
    from nbpipe.tracking.outbox import flush

    project = project_of()
    flush(project.root)
    if trial is not None:
        _one(load_trial(project, trial), code=code, as_json=as_json)
        return
    if code:
        raise UsageError("--code needs a trial", fix="Write, say, nbpipe trials t12 --code")
    most = None if everything else limit or _SHOWN
    found = trials(project, notebook=notebook, stage=stage, status=status, limit=most)
    if as_json:
        from nbpipe.cli.shapes import SCHEMA, print_json

        print_json({"schema": SCHEMA, "trials": [_shape(item) for item in found]})
    elif found:
        _print(found, cut_to=limit is None and not everything and len(found) == _SHOWN)
    else:
        some = any(word is not None for word in (notebook, stage, status))
        click.echo("no such trials" if some else "no trials yet: each %%stage cell that runs in a notebook is one")


def _one(found: Trial, *, code: bool, as_json: bool) -> None:
    from nbpipe.cli.text import coloured, plain

    if as_json:
        from nbpipe.cli.shapes import SCHEMA, print_json

        print_json({**_shape(found), "schema": SCHEMA})
        return
    if not code:
        _print([found], cut_to=False)
        facts = {"notebook": found.notebook, "packages": "  ".join(f"{k} {v}" for k, v in found.packages.items())}
        for name, text in facts.items():
            if text:
                click.echo(f"  {click.style(f'{name:<10}', dim=True)} {plain(text)}")
        for name, item in found.inputs.items():
            said = [item.type, "x".join(map(str, item.shape or ())), item.digest[:12] or "not digested"]
            click.echo(f"  {click.style('read      ', dim=True)} {plain(name)}  {plain('  '.join(filter(None, said)))}")
        click.echo()
    # To a file or a pipe it goes as it ran; click would take escape sequences out of it.
    click.echo(coloured(found.source) if sys.stdout.isatty() else found.source, color=True)


def _print(found: list[Trial], *, cut_to: bool) -> None:
    import shutil

    from nbpipe.cli.render import table

    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    now = time.time()
    for text in table([_row(item, now) for item in found], columns, indent=0):
        click.echo(text)
    if cut_to:
        click.echo(click.style("older trials: nbpipe trials --all", dim=True))


def _row(item: Trial, now: float) -> list[list[Part]]:
    from nbpipe.cli.render import BOLD, DIM, PLAIN, metrics_text, params_text, status_parts
    from nbpipe.cli.text import ago, duration, line

    words = [params_text(item.params), metrics_text(item.metrics)]
    if item.error is not None:
        where = f"line {item.error.line}: " if item.error.line else ""
        words.insert(0, line(f"{where}{item.error.ename}: {item.error.evalue}"))
    return [
        [(item.id, BOLD)],
        [(line(item.stage), PLAIN)],
        status_parts(item.status),
        [(ago(item.started, now), DIM)],
        [(f"{duration(item.seconds):>7}", PLAIN)],
        [("   ".join(word for word in words if word), PLAIN)],
    ]


def _shape(item: Trial) -> dict[str, Any]:
    """The file's own fields, those at their default too."""
    import msgspec

    return {name: msgspec.to_builtins(getattr(item, name)) for name in item.__struct_fields__ if name != "schema"}
