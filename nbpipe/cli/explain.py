"""`nbpipe explain`: why a metric moved between two runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from nbpipe.cli.arguments import complete_run, json_option

if TYPE_CHECKING:
    from nbpipe.explain.api import Step
    from nbpipe.explain.differences import Group
    from nbpipe.model import Event


@click.command("explain")
@click.argument("before", shell_complete=complete_run)
@click.argument("after", shell_complete=complete_run)
@click.option("--metric", required=True, metavar="NAME", help="The metric that moved.")
@click.option(
    "--budget", default="10m", show_default=True, metavar="TIME", help="Time for running, such as 90s, 10m, 2h."
)
@click.option("--order", default="data,code,params", show_default=True, metavar="KINDS", help="What is swapped first.")
@json_option()
def command(before: str, after: str, *, metric: str, budget: str, order: str, as_json: bool) -> None:
    """Say why a metric moved between two runs.

    Goes from the run BEFORE to the run AFTER, swapping one difference at a time (a file, the code of a stage, a
    parameter), and runs again only what each swap touches. The parts add up to the movement. Nothing of the project
    or its history changes.

    \b
    Examples:
      nbpipe explain r41 r43 --metric acc
      nbpipe explain r41 r43 --metric acc --budget 2h
      nbpipe explain r41 latest --metric acc --order params,code,data
    """  # noqa: D301 - click's mark
    from nbpipe.cli.places import project_of
    from nbpipe.explain.api import explain_runs
    from nbpipe.history.query import find_run

    project = project_of()
    seconds, kinds = _seconds(budget), _order(order)
    progress = _Progress()
    try:
        found = explain_runs(
            project,
            find_run(project, before),
            find_run(project, after),
            metric,
            budget=seconds,
            order=kinds,
            on_step=progress.step,
            listener=progress.hear,
        )
    finally:
        progress.close()
    if as_json:
        from nbpipe.cli.shapes import print_json
        from nbpipe.cli.waterfall import attribution_shape

        print_json(attribution_shape(found))
        return
    import shutil

    from nbpipe.cli.waterfall import waterfall

    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for text in waterfall(found, columns):
        click.echo(text)


class _Progress:
    """Says on standard error what is measured: one line that changes on a terminal, else a line per swap."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._label = ""

    def step(self, step: Step) -> None:
        self._label = f"{step.number}/{step.total}  {step.label}"
        self._show(self._label)
        if not self._live:
            click.echo(self._label, err=True)

    def hear(self, event: Event) -> None:
        if event.kind == "stage-started":
            self._show(f"{self._label}   {event.stage} runs")

    def close(self) -> None:
        self._show("")

    def _show(self, text: str) -> None:
        if self._live:
            import shutil

            from nbpipe.cli.text import cut, line

            click.echo(f"\r\x1b[K{cut(line(text), shutil.get_terminal_size().columns - 1)}", err=True, nl=False)


def _seconds(text: str) -> float:
    from nbpipe.errors import UsageError
    from nbpipe.notebook.quantities import read_duration

    if text == "0":
        return 0.0
    try:
        return read_duration(text)
    except ValueError as error:
        raise UsageError(f"--budget: {error}", name=text, fix="Write, say, 90s, 10m or 2h; 0 runs nothing.") from None


def _order(text: str) -> tuple[Group, ...]:
    from nbpipe.errors import UsageError
    from nbpipe.explain.differences import ORDER

    words = [word.strip() for word in text.split(",")]
    chosen = tuple(kind for word in words for kind in ORDER if kind == word)
    if sorted(chosen) != sorted(ORDER) or len(words) != len(ORDER):
        fix = f"Write, say, --order {','.join(reversed(ORDER))}"
        raise UsageError(f"--order {text!a} does not name each kind once", name=text, fix=fix)
    return chosen
