"""`nbpipe report`: a run as one page, for people without Jupyter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbpipe.cli.arguments import json_option, run_argument

if TYPE_CHECKING:
    from nbpipe.tracking.report import Form

_SUFFIX: dict[Form, str] = {"html": ".html", "markdown": ".md", "pdf": ".pdf", "script": ".py"}


@click.command("report")
@run_argument()
@click.option(
    "--to", type=click.Choice(tuple(_SUFFIX)), help="What to write [default: by the file's ending, else html]."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where [default: PIPELINE-RUN.html, here]."
)
@json_option()
def command(run: str, to: Form | None, output: Path | None, *, as_json: bool) -> None:
    """Write a run as one page, or as a script.

    The page holds the executed notebook with its outputs. PDF needs a LaTeX installation.

    \b
    Examples:
      nbpipe report
      nbpipe report r43 -o digits.html
      nbpipe report r43 --to markdown -o digits.md
    """  # noqa: D301 - click's mark
    from nbpipe.cli.places import project_of
    from nbpipe.errors import UsageError
    from nbpipe.history.query import detail, find_run
    from nbpipe.tracking.report import write_report

    project = project_of()
    found = detail(project, find_run(project, run))
    if found.executed is None:
        name = found.summary.run
        raise UsageError(
            f"{name} left no executed notebook", name=name, fix=f"See what happened to it: nbpipe show {name}"
        )
    form = _form(to, output)
    target = output or Path(f"{found.summary.name}-{found.summary.run}{_SUFFIX[form]}")
    written = write_report(found.executed, form, target)
    if as_json:
        from nbpipe.cli.shapes import SCHEMA, print_json

        print_json({"schema": SCHEMA, "run": found.summary.run, "format": form, "report": str(written.resolve())})
    else:
        from nbpipe.cli.text import line

        click.echo(f"wrote {line(str(written))}")


def _form(to: Form | None, output: Path | None) -> Form:
    """What was asked for, else what the file's name says, else HTML."""
    if to is not None or output is None:
        return to or "html"
    return next((form for form, suffix in _SUFFIX.items() if suffix == output.suffix), "html")
