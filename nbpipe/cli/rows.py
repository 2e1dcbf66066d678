"""Rows of the history as lines for people."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from nbpipe.cli.render import Part
    from nbpipe.history.summary import RunSummary


def print_rows(rows: Sequence[RunSummary], *, sort: str = "") -> None:
    """A line per row; the metric that they are sorted by comes first."""
    import shutil

    from nbpipe.cli.render import table

    several = len({item.name for item in rows}) > 1
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    now = time.time()
    for text in table([_row(item, now, sort, several=several) for item in rows], columns, indent=0):
        click.echo(text)


def _row(item: RunSummary, now: float, sort: str, *, several: bool) -> list[list[Part]]:
    from nbpipe.cli.render import BOLD, DIM, PLAIN, metrics_text, params_text, status_parts
    from nbpipe.cli.text import ago, duration, line

    version = f"v{item.number}" if item.number else line(item.version[:7])
    lasts = max(now - item.started, 0.0) if item.status == "running" and item.started else None
    took = duration(item.seconds if item.ended else lasts)
    given = {name: item.params[name] for name in item.given if name in item.params}
    first = sort.removeprefix("metrics.")
    metrics = {name: item.metrics[name] for name in sorted(item.metrics, key=lambda name: name != first)}
    words = [params_text(given), metrics_text(metrics), params_text(item.tags)]
    if item.broken:
        words.insert(0, f"at {', '.join(item.broken)}")
    if item.source:
        words.insert(0, f"by {line(item.user) or 'somebody'}")
    return [
        [(line(item.run), BOLD)],
        status_parts(item.status),
        [(ago(item.started, now) if item.started else "", DIM)],
        [(f"{took:>7}", PLAIN)],
        [(f"{line(item.name)} {version}" if several else version, PLAIN)],
        [(line(item.stage) if item.kind == "trial" else _stages(item), DIM)],
        [("   ".join(word for word in words if word), PLAIN)],
    ]


def _stages(item: RunSummary) -> str:
    """`2 ran, 5 cached`."""
    ran = sum(number for status, number in item.stages.items() if status not in ("cached", "skipped", "waiting"))
    cached = item.stages.get("cached", 0)
    return ", ".join(f"{number} {word}" for number, word in ((ran, "ran"), (cached, "cached")) if number)
