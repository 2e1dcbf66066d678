"""`nbpipe checkout`: the notebook of a run, as it was, in a new file."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from nbpipe.cli.arguments import json_option, run_argument


@click.command("checkout")
@run_argument()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where [default: NOTEBOOK-RUN.ipynb, beside the notebook].",
)
@json_option()
def command(run: str, output: Path | None, *, as_json: bool) -> None:
    """Write the notebook of a run to a new file.

    Source as it was when the run began, byte for byte. A file that exists is never written over. The parameters of the
    run are not in it: the line that is printed runs it with them.

    \b
    Examples:
      nbpipe checkout r43
      nbpipe checkout r43 -o before.ipynb
    """  # noqa: D301 - click's mark
    from nbpipe.cli.places import project_of
    from nbpipe.history.query import find_run
    from nbpipe.run.checkout import beside, write_new
    from nbpipe.run.earlier import changed_modules, notebook_of

    project = project_of()
    name = find_run(project, run)
    source = notebook_of(project, name)
    if output is not None and output.suffix != source.suffix:
        from nbpipe.errors import UsageError

        what = f"{output} would be no notebook: that of {name} is a {source.suffix} file"
        raise UsageError(what, name=str(output), fix=f"Name it {output.stem or output.name}{source.suffix}")
    written = write_new(output or _short(beside(project, name, source.suffix)), source)
    changed = changed_modules(project, name)
    if as_json:
        from nbpipe.cli.shapes import SCHEMA, print_json

        print_json(
            {"schema": SCHEMA, "run": name, "notebook": str(written.resolve()), "changed_modules": sorted(changed)}
        )
        return
    from nbpipe.cli.text import line

    click.echo(f"wrote {line(str(written))}")
    for path, kept in changed.items():
        click.echo(
            f"  {click.style('warning:', fg='yellow')} {line(path)} is not as it was; as it was: {line(str(kept))}"
        )
    click.echo(f"  run it as {name} ran: nbpipe run {shlex.quote(line(str(written)))} --params-from {name}")


def _short(path: Path) -> Path:
    import os

    return Path(min(os.path.relpath(path), str(path), key=len))
