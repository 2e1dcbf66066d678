"""`nbpipe tag`: what people note about a run."""

from __future__ import annotations

import click

from nbpipe.cli.arguments import json_option, run_argument


@click.command("tag")
@run_argument(required=True)
@click.argument("tags", nargs=-1, metavar="[NAME=TEXT]...")
@json_option()
def command(run: str, tags: tuple[str, ...], *, as_json: bool) -> None:
    """Note tags of a run.

    `nbpipe history --tag` finds it by them. NAME= takes a tag away. Without tags those it has are printed. No result and
    no version changes.

    \b
    Examples:
      nbpipe tag r43 team=vision good=yes
      nbpipe tag latest good=
      nbpipe history --tag team=vision
    """  # noqa: D301 - click's mark
    from nbpipe.cli.arguments import read_pairs
    from nbpipe.cli.places import project_of
    from nbpipe.cli.text import line
    from nbpipe.history.notes import tag as note
    from nbpipe.history.query import find_run
    from nbpipe.tracking.notes import read_notes
    from nbpipe.tracking.outbox import flush

    project = project_of()
    found = find_run(project, run)
    folder = project.run_folder(found)
    notes = (
        note(folder, read_pairs(tags, said="", fix="Write, say, nbpipe tag r43 team=vision"))
        if tags
        else read_notes(folder)
    )
    flush(project.root)
    if as_json:
        from nbpipe.cli.shapes import SCHEMA, print_json

        print_json({"schema": SCHEMA, "run": found, "tags": notes.shown})
        return
    words = "  ".join(f"{name}={line(text)}" for name, text in notes.shown.items())
    click.echo(f"{click.style(found, bold=True)} {words or 'has no tags'}")
