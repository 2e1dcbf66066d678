"""`nbpipe graph`: the pipeline as a drawing, or in a language that other programs draw."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbpipe.cli.arguments import json_option, notebook_argument

if TYPE_CHECKING:
    from nbpipe.model import Pipeline

_WIDEST = 200


@click.command("graph")
@notebook_argument()
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "dot", "mermaid"]),
    default="text",
    show_default=True,
    help="What to write.",
)
@json_option()
def command(notebook: Path, form: str, *, as_json: bool) -> None:
    """Draw the pipeline: stages, and what travels between them.

    One row per stage, in notebook order; ◆ is a check. Behind the arrow stands what the stage needs, and from which
    stage: variables, or files where it says so.

    \b
    Examples:
      nbpipe graph digits.ipynb
      nbpipe graph digits.ipynb --format mermaid >> README.md
      nbpipe graph digits.ipynb --format dot | dot -Tsvg -o digits.svg
    """  # noqa: D301 - click's mark
    from nbpipe.cli import drawing
    from nbpipe.pipeline.extract import extract

    pipeline = extract(notebook)
    if as_json:
        click.echo(json.dumps(_shape(pipeline), ensure_ascii=False))
    elif form == "dot":
        click.echo(drawing.dot(pipeline))
    elif form == "mermaid":
        click.echo(drawing.mermaid(pipeline))
    else:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDEST
        click.echo(drawing.draw(pipeline, columns))


def _shape(pipeline: Pipeline) -> dict[str, object]:
    return {
        "schema": 1,
        "pipeline": pipeline.name,
        "version": pipeline.version,
        "stages": [
            {"name": stage.name, "kind": stage.kind, "cells": [code.cell for code in stage.cells]}
            for stage in pipeline.stages
        ],
        "edges": [
            {"source": edge.source, "target": edge.target, "names": list(edge.names), "kind": edge.kind}
            for edge in pipeline.edges
        ],
        "warnings": list(pipeline.warnings),
    }
