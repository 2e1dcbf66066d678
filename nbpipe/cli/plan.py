"""`nbpipe plan`: HIT or RUN per stage, why, and how long."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nbpipe.cli.arguments import (
    fresh_option,
    json_option,
    notebook_argument,
    params_from_option,
    params_option,
    profile_option,
    read_params,
    seed_option,
    selection_options,
    store_option,
)

if TYPE_CHECKING:
    from nbpipe.cli.render import Part
    from nbpipe.model import Decision, Plan


@click.command("plan")
@notebook_argument()
@params_option()
@params_from_option()
@profile_option()
@selection_options
@fresh_option()
@seed_option()
@store_option()
@json_option()
def command(  # noqa: PLR0913 - one per option
    notebook: Path,
    *,
    params: tuple[str, ...],
    params_from: str | None,
    profile: str | None,
    only: str | None,
    from_: str | None,
    until: str | None,
    fresh: bool,
    seed: int,
    store: str | None,
    as_json: bool,
) -> None:
    """Say what a run would do, stage by stage, and why.

    HIT is a result that is reused, RUN a stage that runs. A stage marked ? runs only because something above it runs:
    if that gives the same bytes again, it is a HIT. Nothing is executed, nothing is written.

    \b
    Examples:
      nbpipe plan digits.ipynb
      nbpipe plan digits.ipynb -p lr=0.01
      nbpipe plan digits.ipynb --params-from r41
      nbpipe plan digits.ipynb --json
    """  # noqa: D301 - click's mark
    from nbpipe.run.planning import plan_notebook

    if params_from is not None:
        from nbpipe.cli.places import project_of
        from nbpipe.history.query import find_run

        params_from = find_run(project_of(notebook), params_from)
    plan = plan_notebook(
        notebook,
        params=read_params(params),
        params_from=params_from,
        profile=profile,
        only=only,
        from_=from_,
        until=until,
        fresh=fresh,
        seed=seed,
        store=store,
    )
    if as_json:
        from nbpipe.cli.shapes import plan_shape, print_json

        print_json(plan_shape(plan))
        return
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for text in plan_lines(plan, columns):
        click.echo(text)


def plan_lines(plan: Plan, columns: int | None = None) -> list[str]:
    """The plan as a table under a header, and its sum in the last line."""
    from nbpipe.cli.render import BOLD, PLAIN, paint, table
    from nbpipe.cli.text import count, line

    head: list[Part] = [
        (line(plan.pipeline), BOLD),
        (f" {plan.version[:7]}   {count(len(plan.decisions), 'stage')}", PLAIN),
    ]
    lines = [paint(head, columns), *table([_row(item) for item in plan.decisions], columns)]
    lines += [paint([("warning: ", {"fg": "yellow"}), (line(text), PLAIN)]) for text in plan.warnings]
    return [*lines, _sum(plan)]


def _row(item: Decision) -> list[list[Part]]:
    from nbpipe.cli.render import DIM, PLAIN, reasons_text, status_parts
    from nbpipe.cli.text import duration, line, origin

    why = f"from {origin(item.source)}" if item.action == "HIT" and item.source else reasons_text(item.reasons)
    mark: Part = (" ?" if item.tentative else "  ", DIM)
    return [
        [(line(item.stage), PLAIN)],
        [*status_parts(item.action, 6), mark],
        [(f"{'~' + duration(item.expected) if item.expected is not None and item.action == 'RUN' else '':>8}", DIM)],
        [
            (f"on {line(item.on)}   " if item.on and item.action == "RUN" else "", DIM),
            (why, DIM if item.action == "HIT" else PLAIN),
        ],
    ]


def _sum(plan: Plan) -> str:
    from nbpipe.cli.expected import expected_text
    from nbpipe.cli.text import count, line

    running = [item for item in plan.decisions if item.action == "RUN"]
    if not running and plan.restores:
        more = f" and {len(plan.restores) - 1} more" if len(plan.restores) > 1 else ""
        return f"nothing to compute: a run would put back {line(plan.restores[0])}{more}, as its stage wrote it"
    if not running:
        return "up to date: a run would do nothing"
    sure = sum(not item.tentative for item in running)
    perhaps = f", {len(running) - sure} more if what they read changes (?)" if sure < len(running) else ""
    took = expected_text({item.stage: item.expected for item in running})
    reused = len(plan.decisions) - len(running)
    return f"{count(sure, 'stage')} to run{perhaps}, {reused} reused{', ' if took else ''}{took}"
