"""`nbpipe models`: registered models, what their aliases name, and how they came to it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from nbpipe.cli.arguments import json_option

if TYPE_CHECKING:
    from nbpipe.tracking.aliases import Change, Model


@click.command("models")
@click.argument("name", required=False)
@json_option()
def command(name: str | None, *, as_json: bool) -> None:
    """List the registered models.

    With NAME the versions of one, and who let its aliases name which, when and why.

    \b
    Examples:
      nbpipe models
      nbpipe models digits
    """  # noqa: D301 - click's mark
    from nbpipe.cli.places import project_of
    from nbpipe.errors import UsageError
    from nbpipe.tracking.models import open_models

    models = open_models(project_of().root)
    if name is None:
        found = models.all()
    else:
        model = models.get(name)
        if model is None:
            raise UsageError(f"there is no registered model '{name}'", name=name, fix="List them: nbpipe models")
        found = [model]
    if as_json:
        from nbpipe.cli.shapes import SCHEMA, print_json
        from nbpipe.ui.models import model_shape

        print_json({"schema": SCHEMA, "models": [model_shape(model) for model in found]})
    elif name is not None:
        _print_one(found[0])
    elif found:
        _print_all(found)
    else:
        click.echo("no registered models yet; register one: %%stage NAME --model VARIABLE --register NAME")


def print_change(name: str, change: Change, *, as_json: bool) -> None:
    """What promoting or rolling back changed."""
    if as_json:
        from nbpipe.cli.shapes import SCHEMA, print_json
        from nbpipe.ui.models import change_shape

        print_json({"schema": SCHEMA, "model": name, **change_shape(change)})
        return
    from nbpipe.cli.text import line

    was = f", was version {change.before}" if change.before and change.before != change.version else ""
    of = f" (run {line(change.run)})" if change.run else ""
    click.echo(f"{click.style(line(name), bold=True)} {change.alias} is version {change.version}{of}{was}")
    if change.before and change.before != change.version and change.how == "promote":
        alias = "" if change.alias == "champion" else f" --as {change.alias}"
        click.echo(click.style(f"go back: nbpipe rollback {line(name)}{alias}", dim=True))


def _print_all(models: list[Model]) -> None:
    from nbpipe.cli.render import BOLD, DIM, PLAIN, table
    from nbpipe.cli.text import count, line

    rows = [
        [
            [(line(model.name), BOLD)],
            [(count(len(model.versions), "version"), DIM)],
            [("  ".join(f"{line(alias)} → {version}" for alias, version in sorted(model.aliases.items())), PLAIN)],
        ]
        for model in models
    ]
    for text in table(rows, indent=0):
        click.echo(text)


def _print_one(model: Model) -> None:
    from nbpipe.cli.render import BOLD, DIM, PLAIN, table
    from nbpipe.cli.text import ago, line

    now = time.time()
    rows = [
        [
            [(f"version {item.version}", BOLD)],
            [(line(item.run), PLAIN)],
            [(line(item.stage), PLAIN)],
            [(ago(item.created, now) if item.created else "", DIM)],
            [(" ".join(line(alias) for alias, version in model.aliases.items() if version == item.version), BOLD)],
        ]
        for item in reversed(model.versions)
    ]
    click.echo(click.style(line(model.name), bold=True))
    for text in table(rows):
        click.echo(text)
    for change in reversed(model.changes):
        moved = f"{change.before or '–'} → {change.version}"
        back = "  rolled back" if change.how == "rollback" else ""
        why = f"  {line(change.why)}" if change.why else ""
        who = f" by {line(change.by)}" if change.by else ""
        click.echo(f"  {line(change.alias)} {moved}  {click.style(ago(change.at, now) + who, dim=True)}{back}{why}")
