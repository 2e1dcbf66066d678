"""`nbpipe export`: write the pipeline for a production scheduler, and say what changed in what is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from nbpipe.cli.arguments import json_option, notebook_argument, params_option, profile_option, read_params, seed_option
from nbpipe.errors import EXIT_CODES

if TYPE_CHECKING:
    from nbpipe.export.api import Exported
    from nbpipe.export.verify import Report

#: What nbpipe's own tests do with such an export.
_PROOF = {"executed": "(tested on the scheduler itself)", "validated": "(validated only: look at the first run)"}
_MARKS = {"new": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}


def _complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from nbpipe.export.registry import exporters

    return [CompletionItem(name, help=each.title) for name, each in exporters().items() if name.startswith(incomplete)]


@click.command("export")
@notebook_argument()
@click.option("--to", required=True, metavar="SCHEDULER", shell_complete=_complete, help="airflow, …: see the table.")
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder [default: exports/… here].")
@click.option("--schedule", metavar="CRON", help="When it runs by itself: '0 6 * * *', @daily.")
@click.option("--trigger-file", "files", multiple=True, metavar="PATH", help="Run when this changes: data/*.csv.")
@click.option("--trigger-dataset", "datasets", multiple=True, metavar="NAME", help="Run when this asset is updated.")
@params_option()
@profile_option()
@click.option("--store", metavar="PLACE", help="Folder or URL of the store that its runs share.")
@seed_option()
@click.option("--image", metavar="REF", help="Container image that the stages run in.")
@click.option(
    "--logical-date-param", "logical_date", metavar="NAME", help="The parameter that gets the date of each run."
)
@click.option("--fresh", is_flag=True, help="Each run is a full rebuild: it reuses nothing.")
@click.option("--ci", is_flag=True, help="github-actions: a workflow for pull requests, too.")
@click.option("--verify", is_flag=True, help="Run it on the scheduler's own engine, in a copy, and compare.")
@click.option("--force", is_flag=True, help="Write over files that were edited, or were not written by an export.")
@json_option()
def command(  # noqa: PLR0913 - one per option
    notebook: Path,
    *,
    to: str,
    out: Path | None,
    schedule: str | None,
    files: tuple[str, ...],
    datasets: tuple[str, ...],
    params: tuple[str, ...],
    profile: str | None,
    store: str | None,
    seed: int,
    image: str | None,
    logical_date: str | None,
    fresh: bool,
    ci: bool,
    verify: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write the pipeline for a production scheduler.

    The folder holds the scheduler's own definition, the pipeline with its notebook and modules, and a README with the
    commands to deploy it. Exporting again shows what changed; a file that you edited is not written over. What the
    scheduler cannot express is refused, with the stage and the option.

    \b
    Examples:
      nbpipe export digits.ipynb --to airflow
      nbpipe export digits.ipynb --to airflow --schedule @daily -p epochs=20
      nbpipe export digits.ipynb --to airflow -o dags/digits
      nbpipe export digits.ipynb --to airflow --trigger-file 'data/*.csv'
      nbpipe export digits.ipynb --to script --verify
    """  # noqa: D301 - click's mark
    from nbpipe.export.api import export_notebook
    from nbpipe.notebook.reader import read_notebook

    if verify:
        from nbpipe.export.registry import exporter
        from nbpipe.export.verify import refuse

        refuse(exporter(to))
    found = export_notebook(
        read_notebook(notebook),
        to=to,
        out=out,
        params=read_params(params),
        profile=profile,
        schedule=schedule,
        image=image,
        store=store,
        seed=seed,
        ci=ci,
        logical_date=logical_date or "",
        trigger_files=files,
        trigger_datasets=datasets,
        fresh=fresh,
        force=force,
    )
    report = None
    if verify:
        from nbpipe.export.verify import verify as run_both

        given = [word for param in params for word in ("--param", param)] + (["--profile", profile] if profile else [])
        given += ["--seed", str(seed)] if seed else []
        timed = (["--schedule", schedule] if schedule else []) + (["--image", image] if image else [])
        timed += [word for path in files for word in ("--trigger-file", path)]
        timed += [word for dataset in datasets for word in ("--trigger-dataset", dataset)]
        report = run_both(
            notebook,
            to=to,
            words=(*given, *timed),
            run_words=tuple(given),
            date_param=logical_date or "",
            date=read_params(params).get(logical_date or "", ""),
        )
    if as_json:
        from nbpipe.cli.shapes import print_json

        print_json(export_shape(found, report))
    else:
        _print(found)
        if report is not None:
            _print_report(report)
    if report is not None and not report.equal:
        raise click.exceptions.Exit(EXIT_CODES["rejected"])


def export_shape(found: Exported, report: Report | None = None) -> dict[str, object]:
    """For programs; `report` is of `--verify`."""
    import msgspec

    from nbpipe.cli.shapes import SCHEMA

    return {
        "schema": SCHEMA,
        "scheduler": found.scheduler,
        "proof": found.proof,
        "folder": str(found.folder),
        "definition": str(found.folder / found.main),
        "changed": [{"diff": "", **msgspec.to_builtins(change)} for change in found.changes],
        "notes": list(found.notes),
        **({"verified": verified_shape(report)} if report is not None else {}),
    }


def verified_shape(report: Report) -> dict[str, object]:
    """For programs."""
    import msgspec

    return {
        "equal": report.equal,
        "engine": list(report.engine),
        "date": {report.date_param: report.date} if report.date_param else {},
        "stages": [msgspec.to_builtins(row) for row in report.rows],
        "output": report.output,
    }


def _print_report(report: Report) -> None:
    """A line per stage."""
    from nbpipe.cli.text import line, plain

    if report.output:
        click.echo(plain(report.output))
    engine = f" on {line(', '.join(report.engine))}" if report.engine else ""
    dated = f", both with {line(report.date_param)}={report.date}" if report.date_param else ""
    click.echo(f"compared with `nbpipe run`{engine}{dated}:")
    width = max((len(row.stage) for row in report.rows), default=0)
    for row in report.rows:
        told = click.style("differs", fg="red") if row.different else click.style("equal", fg="green")
        said = f": {', '.join(map(line, row.different))}" if row.different else ""
        click.echo(f"  {line(row.stage):<{width}}  {row.verdict:<10} {told}  {row.compared} compared{said}")


def _print(found: Exported) -> None:
    from nbpipe.cli.text import line, plain

    changed = [change for change in found.changes if change.status != "same"]
    for change in changed:
        symbol, color = _MARKS[change.status]
        click.echo(f"  {click.style(symbol, fg=color)} {line(change.path)}")
        for text in change.diff.splitlines()[2:]:
            click.secho(f"      {plain(text).expandtabs(4)}", fg={"+": "green", "-": "red"}.get(text[:1]))
    for note in found.notes:
        click.echo(f"  {click.style('note:', fg='yellow')} {line(note)}")
    said = "exported" if changed else "nothing changed in"
    click.echo(f"{said} {line(str(found.folder))}   {_PROOF[found.proof]}")
    if changed:
        click.echo(f"Next: {line(str(found.folder / 'README.md'))} has the commands that deploy it")
