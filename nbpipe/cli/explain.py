"""`nbpipe explain`: why a metric moved between two runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from nbpipe.cli.arguments import complete_run, json_option

if TYPE_CHECKING:
    from nbpipe.cli.render import Part as Words
    from nbpipe.explain.attribution import Attribution, Part

_BAR = 10


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
    found = explain_runs(
        project,
        find_run(project, before),
        find_run(project, after),
        metric,
        budget=_seconds(budget),
        order=_order(order),
        on_step=_say,
    )
    if as_json:
        from nbpipe.cli.shapes import print_json

        print_json(attribution_shape(found))
    else:
        import shutil

        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for text in waterfall(found, columns):
            click.echo(text)


def waterfall(found: Attribution, columns: int | None) -> list[str]:
    """The lines for people: one per part, the largest movement as the longest bar; cut to `columns`."""
    from nbpipe.cli.render import BOLD, DIM, PLAIN, paint, table
    from nbpipe.cli.text import line, metric

    head: list[Words] = [(f"{line(found.metric)} ", BOLD), (f"{metric(found.start)} ({found.before}) → ", PLAIN)]
    lines = [paint([*head, (f"{metric(found.end)} ({found.after})", PLAIN)], columns)]
    shown = [part for part in found.parts if part.status != "no-effect"]
    widest = max([abs(part.contribution) for part in shown] + [abs(found.remainder)])
    rows: list[list[list[Words]]] = [_row(part, widest) for part in shown]
    rows.append(
        [[("not attributed", DIM)], [(_signed(found.remainder), PLAIN)], [(_bar(found.remainder, widest), DIM)]]
    )
    lines += table(rows, columns)
    quiet = [part.label for part in found.parts if part.status == "no-effect"]
    notes = [f"no effect: {line(', '.join(quiet))}"] if quiet else []
    notes += [f"{line(part.label)}: {line(part.reason)}" for part in shown if part.reason]
    notes += [f"not attributed: {line(reason)}" for reason in found.reasons]
    return lines + [paint([("  ", PLAIN), (note, DIM)]) for note in notes]


def _row(part: Part, widest: float) -> list[list[Words]]:
    from nbpipe.cli.render import DIM, PLAIN
    from nbpipe.cli.text import line

    if part.status == "unmeasured":
        return [[(line(part.label), PLAIN)], [("?", DIM)], [("", PLAIN)]]
    style = {"fg": "green" if part.contribution > 0 else "red"} if part.contribution else DIM
    return [
        [(line(part.label), PLAIN)],
        [(_signed(part.contribution), PLAIN)],
        [(_bar(part.contribution, widest), style)],
    ]


def _signed(number: float) -> str:
    from nbpipe.cli.text import metric

    rounded = float(f"{number:.4g}")
    return f"{'+' if rounded > 0 else '−' if rounded < 0 else ' '}{metric(abs(rounded))}"


def _bar(number: float, widest: float) -> str:
    return "▓" * max(round(abs(number) / widest * _BAR), 1) if number and widest else ""


def attribution_shape(found: Attribution) -> dict[str, Any]:
    """The same for programs; see `docs/formats/cli-json.md`."""
    return {
        "schema": 1,
        "metric": found.metric,
        "before": {"run": found.before, "value": found.start},
        "after": {"run": found.after, "value": found.end},
        "movement": found.movement,
        "parts": [_part(part) for part in found.parts],
        "remainder": found.remainder,
        "reasons": list(found.reasons),
        "complete": found.complete,
        "seconds": round(found.seconds, 3),
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "label": part.label,
        "status": part.status,
        "contribution": part.contribution,
        "value": part.value,
        "ran": list(part.ran),
        "seconds": round(part.seconds, 3),
        "reason": part.reason,
        "differences": [
            {"kind": item.kind, "label": item.label, "stage": item.stage or None, "cell": item.cell}
            for item in part.differences
        ],
    }


def _say(label: str) -> None:
    from nbpipe.cli.text import line

    if sys.stderr.isatty():
        click.echo(click.style(f"  … {line(label)}", dim=True), err=True)


def _seconds(text: str) -> float:
    from nbpipe.errors import UsageError
    from nbpipe.notebook.quantities import read_duration

    if text.strip("0") in {"", "s", "m", "h"} and text.startswith("0"):
        return 0.0
    try:
        return read_duration(text)
    except ValueError as error:
        raise UsageError(f"--budget: {error}", name=text, fix="Write, say, 90s, 10m or 2h.") from None


def _order(text: str) -> tuple[Any, ...]:
    from nbpipe.errors import UsageError
    from nbpipe.explain.differences import ORDER

    words = tuple(word.strip() for word in text.split(","))
    if sorted(words) != sorted(ORDER):
        raise UsageError(
            f"--order {text!r} does not name each kind once", name=text, fix=f"Write, say, {','.join(reversed(ORDER))}"
        )
    return words
