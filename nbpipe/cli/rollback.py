"""`nbpipe rollback`: let an alias of the model registry name what it named before."""

from __future__ import annotations

import click

from nbpipe.cli.arguments import json_option


@click.command("rollback")
@click.argument("name")
@click.option("--as", "alias", default="champion", metavar="ALIAS", help="The alias [default: champion].")
@click.option("--to", metavar="VERSION", help="The version [default: the one before].")
@click.option("--why", default="", metavar="TEXT", help="The reason, kept with the alias.")
@json_option()
def command(name: str, alias: str, to: str | None, why: str, *, as_json: bool) -> None:
    """Make the model before the champion again.

    NAME is a registered model. Again and again it goes further back.

    \b
    Examples:
      nbpipe rollback digits --why worse
      nbpipe rollback digits --to 3
    """  # noqa: D301 - click's mark
    from nbpipe.cli.models import print_change
    from nbpipe.cli.places import project_of
    from nbpipe.tracking.promotion import rollback

    print_change(name, rollback(project_of().root, name, alias=alias, to=to, why=why), as_json=as_json)
