"""`nbpipe reproduce`: make a run again, and say whether it gives the same."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from nbpipe.cli.arguments import json_option, run_argument

if TYPE_CHECKING:
    from nbpipe.reproduce.verdict import StageVerdict, Verdict

_EXITS = {"equal": 0, "close": 0, "differs": 1, "impossible": 3}
_STYLES: dict[str, tuple[str, dict[str, Any]]] = {
    "equal": ("✓", {"fg": "green"}),
    "close": ("≈", {"fg": "cyan"}),
    "differs": ("✗", {"fg": "red", "bold": True}),
    "impossible": ("⊘", {"fg": "yellow", "bold": True}),
}
_NAMES = 6


@click.command("reproduce")
@run_argument()
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=1e-6,
    show_default=True,
    metavar="X",
    help="Numbers no further apart than this count as close.",
)
@click.option("--no-env", is_flag=True, help="Use the packages at hand, whatever the run had.")
@json_option("Progress goes to standard error; the last line on standard output is JSON.")
def command(run: str, tolerance: float, *, no_env: bool, as_json: bool) -> None:
    """Make a run again, and say whether it gives the same.

    The notebook, local modules, parameters, profile, seed and data of the run are laid out in a folder of its own and
    run without the cache and without tracking. Packages that are not those of then are installed with uv, once. Nothing
    in the project is written.

    Exit code 0: equal, or within the tolerance; 1: it differs; 3: it cannot be reproduced, because something that it
    needs has changed or is gone.

    \b
    Examples:
      nbpipe reproduce r43
      nbpipe reproduce r43 --tolerance 1e-4
      nbpipe reproduce r43 --no-env --json
    """  # noqa: D301 - click's mark
    import math
    import os

    from nbpipe.cli.main import wants_color
    from nbpipe.cli.places import project_of
    from nbpipe.cli.progress import Progress
    from nbpipe.cli.text import line
    from nbpipe.errors import UsageError
    from nbpipe.history.query import find_run
    from nbpipe.reproduce.api import reproduce

    if not math.isfinite(tolerance):
        raise UsageError(f"--tolerance: {tolerance} is no tolerance", fix="Write, say, --tolerance 1e-6")
    project = project_of()
    name = find_run(project, run)
    live = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")

    def say(text: str) -> None:
        click.echo(line(text), err=True)

    progress = Progress(sys.stderr, live=live, quiet=False, color=wants_color())
    try:
        found = reproduce(project, name, tolerance=tolerance, rebuild=not no_env, listener=progress.hear, notice=say)
    finally:
        progress.close()
    if as_json:
        from nbpipe.cli.shapes import print_json

        print_json(verdict_shape(found))
    else:
        _print(found)
    raise click.exceptions.Exit(_EXITS[found.verdict])


def verdict_shape(found: Verdict) -> dict[str, object]:
    """For programs."""
    import msgspec

    from nbpipe.cli.shapes import SCHEMA

    first = found.first
    return {
        "schema": SCHEMA,
        "run": found.run,
        "verdict": found.verdict,
        "exit_code": _EXITS[found.verdict],
        "tolerance": found.tolerance,
        "first": first.name if first is not None else None,
        "stages": [
            {
                "name": stage.name,
                "verdict": "unknown" if stage.unknown else stage.verdict,
                "detail": stage.unknown or None,
                "items": [
                    {**msgspec.to_builtins(item), "type": item.type or None, "detail": item.detail or None}
                    for item in stage.items
                ],
            }
            for stage in found.stages
        ],
        "unfinished": list(found.unfinished),
        "obstacles": msgspec.to_builtins(found.obstacles),
        "environment": {"rebuilt": found.rebuilt, "differences": list(found.environment)},
        "causes": list(found.causes),
        "seconds": round(found.seconds, 3),
    }


def _print(found: Verdict) -> None:
    from nbpipe.cli.text import line

    if found.environment:
        how = "built as it was" if found.rebuilt else "not as it was"
        click.echo(f"  environment {how} (then → here): {line(', '.join(found.environment))}")
    width = max((len(stage.name) for stage in found.stages), default=0)
    for stage in found.stages:
        click.echo(f"  {line(stage.name):<{width}}  {_stage(stage)}")
    symbol, style = _STYLES[found.verdict]
    head = click.style(f"{found.run} ", bold=True) + click.style(f"{symbol} ", **style)
    click.echo(head + click.style(line(sentence(found)), **style))
    for text in found.causes if found.verdict == "differs" else ():
        click.echo(f"  {click.style('likely cause:', fg='yellow')} {line(text)}")


def _stage(stage: StageVerdict) -> str:
    from nbpipe.cli.text import line

    if stage.unknown:
        return click.style(f"·  {stage.unknown}", dim=True)
    symbol, style = _STYLES[stage.verdict]
    odd = [item for item in stage.items if item.verdict == stage.verdict != "equal"]
    words = [f"{item.name}: {item.detail}" if item.name else item.detail for item in odd[:_NAMES]]
    # A metric is often a value, too.
    names = list(dict.fromkeys(item.name for item in stage.items))
    if not odd:
        words = [", ".join(names[:_NAMES]) or "it ended as then, and gives no value, file or metric"]
    more = max(len(odd or names) - _NAMES, 0)
    return (
        click.style(f"{symbol}  {stage.verdict:<8}", **style)
        + line("; ".join(words))
        + (f" and {more} more" if more else "")
    )


def sentence(found: Verdict) -> str:
    """The verdict in a line."""
    if found.verdict == "impossible":
        return "cannot be reproduced: " + (
            "; ".join(map(str, found.obstacles)) or "what it left then is not known any more"
        )
    if found.verdict in ("equal", "close"):
        how = "to the byte" if found.verdict == "equal" else f"within {found.tolerance:g}"
        left = [*(stage.name for stage in found.stages if stage.unknown), *found.unfinished]
        return f"equal {how}" + (f", without {', '.join(left)}: nothing to compare with" if left else "")
    first = found.first
    item = first.worst if first is not None else None
    if first is None or item is None:
        return "differs"
    words = {"value": "value", "file": "file", "metric": "metric"}
    kind = f" ({item.type})" if item.type else ""
    what = f"{words[item.kind]} '{item.name}'{kind}: " if item.kind in words else ""
    return f"differs from stage '{first.name}' on: {what}{item.detail}"
