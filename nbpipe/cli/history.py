"""`nbpipe history`: a line per run, newest first."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from nbpipe.cli.arguments import complete_notebook, json_option

if TYPE_CHECKING:
    from nbpipe.cli.render import Part
    from nbpipe.history.summary import RunSummary, Status

STATUSES = ("running", "succeeded", "failed", "rejected", "cancelled", "interrupted")
_SHOWN = 20


@click.command("history")
@click.argument("notebook", required=False, shell_complete=complete_notebook)
@click.option("--status", type=click.Choice(STATUSES), help="Only runs that ended like this.")
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most N runs [default: 20].")
@click.option("--all", "everything", is_flag=True, help="All runs.")
@json_option()
def command(notebook: str | None, status: Status | None, limit: int | None, *, everything: bool, as_json: bool) -> None:
    """List the runs, newest first.

    NOTEBOOK is a path or the name of a pipeline; without it the runs of all notebooks of the project are listed.

    \b
    Examples:
      nbpipe history
      nbpipe history digits.ipynb --status failed
      nbpipe history --all --json
    """  # noqa: D301 - click's mark
    from pathlib import Path

    from nbpipe.cli.places import project_of
    from nbpipe.history.query import runs
    from nbpipe.tracking.outbox import flush

    is_path = notebook is not None and Path(notebook).exists()
    project = project_of(Path(notebook)) if notebook is not None and is_path else project_of()
    most = None if everything else limit or _SHOWN
    found = runs(project, notebook=notebook, status=status, limit=most)
    flush(project.root)
    if as_json:
        from nbpipe.cli.shapes import SCHEMA, print_json, summary_shape

        print_json({"schema": SCHEMA, "runs": [summary_shape(item) for item in found]})
    elif found:
        _print(found, cut_to=limit is None and not everything and len(found) == _SHOWN)
    else:
        some = notebook is not None or status is not None
        click.echo("no such runs" if some else "no runs yet; start one: nbpipe run NOTEBOOK")


def _print(found: list[RunSummary], *, cut_to: bool) -> None:
    import shutil

    from nbpipe.cli.render import table

    several = len({item.name for item in found}) > 1
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    now = time.time()
    for text in table([_row(item, now, several=several) for item in found], columns, indent=0):
        click.echo(text)
    if cut_to:
        click.echo(click.style("older runs: nbpipe history --all", dim=True))


def _row(item: RunSummary, now: float, *, several: bool) -> list[list[Part]]:
    from nbpipe.cli.render import BOLD, DIM, PLAIN, metrics_text, params_text, status_parts
    from nbpipe.cli.text import ago, duration, line

    version = f"v{item.number}" if item.number else item.version[:7]
    took = duration(item.seconds if item.ended else max(now - item.started, 0.0) if item.status == "running" else None)
    given = {name: item.params[name] for name in item.given if name in item.params}
    words = [params_text(given), metrics_text(item.metrics)]
    if item.broken:
        words.insert(0, f"at {', '.join(item.broken)}")
    return [
        [(item.run, BOLD)],
        status_parts(item.status),
        [(ago(item.started, now) if item.started else "", DIM)],
        [(f"{took:>7}", PLAIN)],
        [(f"{line(item.name)} {version}" if several else version, PLAIN)],
        [(_stages(item), DIM)],
        [("   ".join(word for word in words if word), PLAIN)],
    ]


def _stages(item: RunSummary) -> str:
    """`2 ran, 5 cached`."""
    ran = sum(number for status, number in item.stages.items() if status not in ("cached", "skipped", "waiting"))
    cached = item.stages.get("cached", 0)
    return ", ".join(f"{number} {word}" for number, word in ((ran, "ran"), (cached, "cached")) if number)
