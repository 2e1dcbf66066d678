"""`nbpipe suggest`: a tagged copy of an untagged notebook."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbpipe.cli.arguments import json_option, notebook_argument
from nbpipe.errors import UsageError

if TYPE_CHECKING:
    from nbpipe.suggest.api import Suggestion


@click.command("suggest")
@notebook_argument()
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the tagged copy here; - is standard output.",
)
@click.option("--explore", is_flag=True, help="Leave cells that only show something out of the pipeline.")
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@json_option()
def command(notebook: Path, output: Path | None, *, explore: bool, force: bool, as_json: bool) -> None:
    """Propose stages for a notebook that has none.

    Stages follow the headings, the dataflow and what cells cost. Only tags are added: no cell is split, merged, moved
    or dropped. Without -o the proposal is only printed. The notebook itself is never written to.

    \b
    Examples:
      nbpipe suggest analysis.ipynb
      nbpipe suggest analysis.ipynb -o stages.ipynb && nbpipe run stages.ipynb
      nbpipe suggest analysis.ipynb -o stages.ipynb --explore
    """  # noqa: D301 - click's mark
    from nbpipe.suggest.api import suggest_notebook

    to_stdout = output is not None and str(output) == "-"
    if to_stdout and as_json:
        raise UsageError("-o - and --json both want standard output", fix="Give -o a file.")
    suggestion = suggest_notebook(notebook, explore=explore)
    if to_stdout:
        sys.stdout.buffer.write(suggestion.notebook)
        return
    if output is not None:
        _write(suggestion.notebook, output, notebook, force=force)
    if as_json:
        click.echo(json.dumps(_shape(suggestion, output), ensure_ascii=False))
        return
    _print_text(suggestion, notebook, output)


def _write(data: bytes, output: Path, notebook: Path, *, force: bool) -> None:
    from nbpipe.notebook.reader import TEXT_SUFFIXES

    if output.suffix in TEXT_SUFFIXES:
        fix = f"Name it {output.stem}.ipynb"
        raise UsageError(f"{output} would be no notebook: the copy is an .ipynb file", name=str(output), fix=fix)
    if output.exists() and notebook.exists() and output.samefile(notebook):
        raise UsageError("the copy would replace the notebook itself", name=str(output), fix="Choose another name.")
    if output.exists() and not force:
        raise UsageError(f"{output} exists", name=str(output), fix="Choose another name, or add --force.")
    from nbpipe.cli.writing import write_file

    write_file(output, data)


def _shape(suggestion: Suggestion, output: Path | None) -> dict[str, object]:
    return {
        "schema": 1,
        "notebook": str(output.resolve()) if output is not None else None,
        "stages": [{"name": stage.name, "cells": list(stage.cells)} for stage in suggestion.stages],
        "left_out": list(suggestion.left_out),
    }


def _print_text(suggestion: Suggestion, notebook: Path, output: Path | None) -> None:
    from nbpipe.cli.text import count, line, pad, width

    left = max((width(stage.name) for stage in suggestion.stages), default=0)
    click.echo(count(len(suggestion.stages), "stage"))
    for stage in suggestion.stages:
        click.echo(f"  {pad(stage.name, left)}   {_cells(stage.cells)}")
    if suggestion.left_out:
        click.echo(f"  {pad('left out', left)}   {_cells(suggestion.left_out)}")
    name = line(str(notebook))
    if output is None:
        copy = notebook.with_name(f"{notebook.stem}-stages.ipynb")
        click.echo(f"\nWrite it:  nbpipe suggest {shlex.quote(name)} -o {shlex.quote(line(str(copy)))}")
    else:
        where = shlex.quote(line(str(output)))
        click.echo(f"\nwrote {where}; look at its tags, then:  nbpipe run {where}")


def _cells(numbers: tuple[int, ...]) -> str:
    """`cell 3`, `cells 3-5, 8`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    text = ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
    return f"cell{'' if len(numbers) == 1 else 's'} {text}"
