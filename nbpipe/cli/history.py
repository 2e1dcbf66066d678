"""`nbpipe history`: a line per run, newest first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbpipe.cli.arguments import complete_notebook, json_option

if TYPE_CHECKING:
    from nbpipe.history.search import Page, Query, Source
    from nbpipe.run.project import Project

STATUSES = ("running", "succeeded", "failed", "rejected", "cancelled", "interrupted")
#: Newest runs among which names are looked up for a hint.
_NAMED = 500
_SHOWN = 20


@click.command("history")
@click.argument("notebook", required=False, shell_complete=complete_notebook)
@click.option("--status", type=click.Choice(STATUSES), multiple=True, help="Only runs that ended like this.")
@click.option("--where", multiple=True, metavar="CONDITION", help='Only runs that meet it, such as "acc > 0.9".')
@click.option("--search", metavar="TEXT", help="Only runs in which all these words stand.")
@click.option("--tag", "tags", multiple=True, metavar="NAME[=TEXT]", help="Only runs with this tag.")
@click.option("--commit", metavar="COMMIT", help="Only runs of this git commit.")
@click.option("--since", metavar="TIME", help="Only runs started since then: 2d, 12h, 2026-11-30.")
@click.option("--until", metavar="TIME", help="Only runs started before then.")
@click.option("--sort", metavar="COLUMN", help="Sort by a metric, parameter or column, the largest first.")
@click.option("--ascending", is_flag=True, help="Sort the smallest first.")
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most N runs [default: 20].")
@click.option("--offset", type=click.IntRange(min=0), default=0, metavar="N", help="Leave out the first N.")
@click.option("--all", "everything", is_flag=True, help="All runs.")
@click.option("--trials", is_flag=True, help="List trials of single stages, too.")
@click.option(
    "--source",
    type=click.Choice(["auto", "local", "mlflow"]),
    default="auto",
    help="Where runs are looked for [default: here, and on the MLflow server if one is set].",
)
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), metavar="FILE", help="Write a table; - is stdout.")
@json_option()
def command(
    notebook: str | None,
    source: Source,
    csv_file: Path | None,
    *,
    since: str | None,
    until: str | None,
    limit: int | None,
    everything: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """List the runs, newest first.

    NOTEBOOK is a path or the name of a pipeline; without it the runs of all notebooks of the project are listed.

    \b
    Examples:
      nbpipe history
      nbpipe history digits.ipynb --status failed --since 2d
      nbpipe history --where "acc > 0.9 and lr = 0.01" --sort acc
      nbpipe history --all --csv runs.csv
    """  # noqa: D301 - click's mark
    from nbpipe.cli.places import project_of
    from nbpipe.history.search import Query
    from nbpipe.history.search import search as find
    from nbpipe.tracking.outbox import flush

    if as_json and str(csv_file) == "-":
        from nbpipe.errors import UsageError

        raise UsageError("--csv - and --json both write to standard output", fix="Give --csv a file.")
    is_path = notebook is not None and Path(notebook).exists()
    project = project_of(Path(notebook)) if notebook is not None and is_path else project_of()
    everything = everything or (csv_file is not None and limit is None)
    query = Query(
        notebook=notebook or "",
        statuses=asked["status"],
        kinds=("run", "trial") if asked["trials"] else ("run",),
        where=asked["where"],
        text=asked["search"] or "",
        tags=dict(_tag(word) for word in asked["tags"]),
        commit=asked["commit"] or "",
        since=_time("--since", since),
        until=_time("--until", until),
        sort=asked["sort"] or "",
        descending=not asked["ascending"],
        offset=asked["offset"],
        limit=None if everything else limit or _SHOWN,
    )
    page = find(project, query, source=source)
    flush(project.root)
    if csv_file is not None:
        _write(page, csv_file)
    if as_json:
        from nbpipe.cli.shapes import page_shape, print_json

        print_json(page_shape(page))
    elif csv_file is None:
        _print(page, query)
        if not page.total and query.notebook:
            _name_others(project, query.notebook)


def _tag(word: str) -> tuple[str, str]:
    name, _, text = word.partition("=")
    return name, text


def _time(option: str, text: str | None) -> float | None:
    """Seconds since the epoch: so long ago, or a date or time as ISO 8601 has them (local, if it does not say where)."""
    if text is None:
        return None
    import datetime as dt
    import time

    from nbpipe.errors import UsageError
    from nbpipe.notebook.quantities import read_duration

    try:
        return time.time() - read_duration(text)
    except ValueError:
        pass
    try:
        return dt.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        fix = "Write, say, 2d, 12h or 2026-11-30."
        raise UsageError(f"{option} {text!r} is not a time", name=text, fix=fix) from None


def _write(page: Page, path: Path) -> None:
    from nbpipe.history.export import csv_text

    text = csv_text(page.rows)
    if str(path) == "-":
        click.echo(text, nl=False)
        return
    from nbpipe.cli.text import count
    from nbpipe.cli.writing import write_file

    write_file(path, text.encode())
    click.echo(f"wrote {path}: {count(len(page.rows), 'row')}", err=True)


def _print(page: Page, query: Query) -> None:
    from nbpipe.cli.rows import print_rows
    from nbpipe.cli.text import line

    for text in page.problems:
        click.echo(f"{click.style('warning:', fg='yellow')} {line(text)}", err=True)
    if page.unknown:
        names = ", ".join(line(name) for name in page.unknown)
        click.echo(f"{click.style('warning:', fg='yellow')} no run has {names}", err=True)
    if page.rows:
        print_rows(page.rows, sort=query.sort)
        left = page.total - page.offset - len(page.rows)
        if left > 0:
            click.echo(click.style(f"{left} more: nbpipe history --all", dim=True))
    elif query.offset or query != type(query)(limit=query.limit):
        click.echo("no such runs")
    else:
        click.echo("no runs yet; start one: nbpipe run NOTEBOOK")


def _name_others(project: Project, notebook: str) -> None:
    """Nothing was found for a notebook: perhaps its name is mistyped."""
    from nbpipe.cli.text import line
    from nbpipe.history.search import Query
    from nbpipe.history.search import search as find

    known = sorted({row.name for row in find(project, Query(limit=_NAMED)).rows})
    if known and notebook not in known:
        click.echo(f"there are runs of {', '.join(line(name) for name in known[:10])}", err=True)
