"""`nbpipe promote`: let an alias of the model registry name what a run made."""

from __future__ import annotations

import click

from nbpipe.cli.arguments import json_option, run_argument


@click.command("promote")
@run_argument(required=True)
@click.option("--stage", metavar="STAGE", help="The stage that gives the model, where several do.")
@click.option("--as", "alias", default="champion", metavar="ALIAS", help="The alias [default: champion].")
@click.option("--why", default="", metavar="TEXT", help="The reason, kept with the alias.")
@click.option("--model", metavar="VARIABLE", help="Register this variable, where the notebook does not register one.")
@click.option("--register", "name", metavar="NAME", help="The name to register it under.")
@click.option("--force", is_flag=True, help="Promote a run that was rejected or failed.")
@json_option()
def command(
    run: str,
    stage: str | None,
    alias: str,
    why: str,
    model: str | None,
    name: str | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Make a run's model the champion.

    Who, when and why is kept in the registry. A run that was rejected by a check is refused.

    \b
    Examples:
      nbpipe promote r43 --why better
      nbpipe promote r43 --stage train --as staging
      nbpipe promote r43 --stage train --model net --register digits
    """  # noqa: D301 - click's mark
    from nbpipe.cli.places import project_of
    from nbpipe.history.query import find_run
    from nbpipe.tracking.promotion import promote

    project = project_of()
    folder = project.run_folder(find_run(project, run))
    registered, change = promote(
        project.root, folder, alias=alias, stage=stage, model=model, name=name, why=why, force=force
    )
    from nbpipe.cli.models import print_change

    print_change(registered, change, as_json=as_json)
