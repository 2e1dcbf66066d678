"""`nbpipe checkout`: the notebook of a run, as it was, in a new file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbpipe.cli.arguments import json_option, run_argument

if TYPE_CHECKING:
    from nbpipe.run.project import Project


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
    from nbpipe.run.earlier import changed_modules, earlier_state, notebook_of

    project = project_of()
    name = find_run(project, run)
    source = notebook_of(project, name)
    written = _write_new(output or _beside(project, earlier_state(project, name).notebook, name, source), source)
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
    click.echo(f"  run it as {name} ran: nbpipe run {line(str(written))} --params-from {name}")


def _beside(project: Project, notebook: str, run: str, source: Path) -> Path:
    """`NOTEBOOK-RUN` in the notebook's folder, where its modules and data are; here if that folder is gone."""
    import os

    place = project.root / notebook
    folder = place.parent if place.parent.is_dir() else Path()
    target = folder.resolve() / f"{place.stem}-{run}{source.suffix}"
    return Path(min(os.path.relpath(target), str(target), key=len))


def _write_new(target: Path, source: Path) -> Path:
    """Copy `source` to `target`, which must not exist. Raises UsageError where it does or cannot be written."""
    from nbpipe.errors import UsageError

    data = source.read_bytes()
    try:
        with target.open("xb") as file:
            try:
                file.write(data)
                file.flush()
            except OSError:
                target.unlink()
                raise
    except FileExistsError:
        raise UsageError(
            f"{target} exists, and is not written over", name=str(target), fix="Name another file: -o FILE"
        ) from None
    except OSError as error:
        raise UsageError(
            f"{target} cannot be written: {error.strerror or error}", name=str(target), fix="Choose another place."
        ) from None
    return target
