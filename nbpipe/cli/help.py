"""`nbpipe help`: the page about an error, as it stands in the documentation; or about a command."""

from __future__ import annotations

from pathlib import Path

import click

from nbpipe.cli.arguments import json_option
from nbpipe.errors import UsageError

#: Where the pages lie when nbpipe is installed, and in a checkout of its source.
_PLACES = (Path(__file__).parents[1] / "pages" / "errors", Path(__file__).parents[2] / "docs" / "reference" / "errors")


@click.command("help")
@click.argument("topic", required=False)
@json_option()
def command(topic: str | None, *, as_json: bool) -> None:
    """Explain an error, or a command.

    An error of nbpipe ends with the name of its page: `docs: nbpipe help undefined-name`.

    \b
    Examples:
      nbpipe help undefined-name
      nbpipe help run
      nbpipe help
    """  # noqa: D301 - click's mark
    from nbpipe.cli.main import COMMANDS, nbpipe

    found = pages()
    if topic in COMMANDS and topic not in found:
        made = nbpipe.get_command(click.get_current_context(), topic)
        assert made is not None, "every name of the table is a command"  # noqa: S101
        text = made.get_help(click.Context(made, info_name=f"nbpipe {topic}"))
    elif topic is None:
        text = "Errors, each with a page: nbpipe help NAME\n\n" + "\n".join(f"  {name}" for name in found)
        text += "\n\nCommands: nbpipe --help"
    elif topic in found:
        text = found[topic].read_text(encoding="utf-8").rstrip("\n")
    else:
        from nbpipe.notebook.quantities import did_you_mean

        fix = did_you_mean(topic, [*found, *COMMANDS]) or "Type nbpipe help for a list."
        raise UsageError(f"there is no page about {topic!a}", name=topic, fix=fix)
    if as_json:
        from nbpipe.cli.shapes import SCHEMA, print_json

        print_json({"schema": SCHEMA, "topic": topic, "text": text})
    else:
        click.echo(text)


def pages() -> dict[str, Path]:
    """Code of an error -> its page, sorted."""
    folder = next((place for place in _PLACES if place.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob("*.md"))} if folder is not None else {}
