"""`nbpipe report`: a run as one page, for people without Jupyter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbpipe.cli.arguments import json_option, run_argument

if TYPE_CHECKING:
    from nbpipe.tracking.report import Form

_SUFFIX: dict[Form, str] = {"html": ".html", "markdown": ".md", "pdf": ".pdf", "script": ".py"}
_ALIKE = {".htm": ".html", ".markdown": ".md"}


@click.command("report")
@run_argument()
@click.option(
    "--to", type=click.Choice(tuple(_SUFFIX)), help="What to write [default: by the file's ending; html without one]."
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

    form = _form(to, output)
    project = project_of()
    found = detail(project, find_run(project, run))
    if found.executed is None:
        name = found.summary.run
        raise UsageError(
            f"{name} left no executed notebook", name=name, fix=f"See what happened to it: nbpipe show {name}"
        )
    target = output or Path(f"{found.summary.name}-{found.summary.run}{_SUFFIX[form]}")
    written = write_report(found.executed, form, target)
    if as_json:
        from nbpipe.cli.shapes import SCHEMA, print_json

        print_json({"schema": SCHEMA, "run": found.summary.run, "format": form, "report": str(written.resolve())})
    else:
        from nbpipe.cli.text import line

        click.echo(f"wrote {line(str(written))}")


def _form(to: Form | None, output: Path | None) -> Form:
    """What was asked for, else what the file's ending says, else HTML. Raises UsageError for the ending of another format."""
    if to is not None or output is None or output.is_dir() or not output.suffix:
        return to or "html"
    ending = _ALIKE.get(output.suffix.lower(), output.suffix.lower())
    form = next((form for form, suffix in _SUFFIX.items() if suffix == ending), None)
    if form is None:
        from nbpipe.errors import UsageError

        raise UsageError(
            f"a report cannot be a {output.suffix} file",
            name=str(output),
            fix=f"End its name in {', '.join(_SUFFIX.values())}, or say what to write: --to {'|'.join(_SUFFIX)}",
        )
    return form
