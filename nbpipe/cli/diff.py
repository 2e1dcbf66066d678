"""`nbpipe diff`: what changed between two runs, or between a run and the notebook as it is now."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

import click
from click.shell_completion import CompletionItem

from nbpipe.cli.arguments import complete_notebook, complete_run, json_option

if TYPE_CHECKING:
    from nbpipe.history.diff import Part
    from nbpipe.run.project import Project

PARTS = ("code", "params", "metrics", "environment", "data", "outputs")


def complete_side(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Runs, `now` and notebooks that begin like this."""
    words = [CompletionItem(word) for word in ("now", "latest") if word.startswith(incomplete)]
    return [*complete_run(ctx, param, incomplete), *words, *complete_notebook(ctx, param, incomplete)]


@click.command("diff")
@click.argument("a", required=False, shell_complete=complete_side)
@click.argument("b", required=False, shell_complete=complete_side)
@click.option(
    "--part", "parts", multiple=True, type=click.Choice(PARTS), help="Only this part; may be given several times."
)
@click.option("--stage", metavar="STAGE", help="Only this stage, by its name on either side.")
@click.option("--all", "everything", is_flag=True, help="Show what is equal too, and cut nothing short.")
@click.option("--exit-code", is_flag=True, help="End with 1 where anything differs.")
@json_option()
@click.pass_context
def command(
    ctx: click.Context,
    a: str | None,
    b: str | None,
    parts: tuple[str, ...],
    stage: str | None,
    *,
    everything: bool,
    exit_code: bool,
    as_json: bool,
) -> None:
    """Show what changed between two runs, or since a run.

    Code, parameters, metrics, environment, data and outputs, from A to B.
    A and B are runs (r43, 43, latest), trials (t12), a notebook's path, or now: the notebook as it is saved now.
    Without B, A is compared with now; without both, the latest run with the one before it.

    \b
    Examples:
      nbpipe diff r41 r43
      nbpipe diff latest
      nbpipe diff r41 r43 --part code --stage train
    """  # noqa: D301 - click's mark
    from nbpipe.cli.places import project_of
    from nbpipe.history.diff import compute

    project = project_of()
    left, right = (a, b or "now") if a is not None else _last_two(project)
    wanted = cast("tuple[Part, ...]", parts or PARTS)
    found = compute(project, left, right, parts=wanted, everything=everything, stage=stage)
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(found).decode())
    else:
        import shutil

        from nbpipe.cli.diff_lines import lines

        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for text in lines(found, columns=columns, short=not everything):
            click.echo(text)
    if exit_code and not found.same:
        ctx.exit(1)


def _last_two(project: Project) -> tuple[str, str]:
    """The latest run and the one before it of the same notebook, the older first."""
    from nbpipe.errors import UsageError
    from nbpipe.history.query import find_run, runs

    latest = find_run(project, "latest")
    newest = runs(project, limit=1)[0]
    both = runs(project, notebook=newest.name, limit=2)
    if len(both) < 2:  # noqa: PLR2004 - it takes two
        raise UsageError(
            f"{latest} is the only run of {newest.name}",
            name=latest,
            fix=f"Compare it with the notebook: nbpipe diff {latest}",
        )
    return both[1].run, both[0].run
