"""Lines and tables: words with a style, cut to the terminal, the same for people and for copying."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from nbpipe.cli.failure import place
from nbpipe.cli.text import count, cut, duration, line, metric, origin, pad, value, width
from nbpipe.run.state import RunState, StageState

#: Words and their style (`click.style`'s arguments).
Part = tuple[str, Mapping[str, Any]]
PLAIN: Mapping[str, Any] = {}
DIM: Mapping[str, Any] = {"dim": True}
BOLD: Mapping[str, Any] = {"bold": True}
#: Status of a stage or of a run -> symbol, style. Status is always symbol, word and colour.
STATUS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "waiting": ("○", DIM),
    "running": ("●", {"fg": "blue", "bold": True}),
    "cached": ("⚡", {"fg": "cyan"}),
    "succeeded": ("✓", {"fg": "green"}),
    "up-to-date": ("✓", {"fg": "green"}),
    "failed": ("✗", {"fg": "red", "bold": True}),
    "rejected": ("⊘", {"fg": "magenta", "bold": True}),
    "timeout": ("✗", {"fg": "red", "bold": True}),
    "lost": ("✗", {"fg": "red", "bold": True}),
    "cancelled": ("■", {"fg": "yellow"}),
    "interrupted": ("■", {"fg": "yellow"}),
    "skipped": ("·", DIM),
    "HIT": ("⚡", {"fg": "cyan"}),
    "RUN": ("●", {"fg": "blue", "bold": True}),
}
_BAR = 10
_STATUS_WIDTH = 12
_METRICS = 4


def status_parts(status: str, columns: int = _STATUS_WIDTH) -> list[Part]:
    """Symbol and word of a status, padded to `columns`."""
    symbol, style = STATUS.get(status, ("?", PLAIN))
    word = f"{pad(symbol, 2)} {status}"
    return [(word, style), (" " * max(columns - width(word), 0), PLAIN)]


def paint(parts: Sequence[Part], columns: int | None = None) -> str:
    """One line with styles; where it is wider than `columns`, what is too much is cut."""
    left = columns
    words = []
    for text, style in parts:
        shown = text if left is None else cut(text, left)
        words.append(click.style(shown, **style) if style and shown.strip() else shown)
        if left is not None:
            left -= width(shown)
            if left <= 0:
                break
    return "".join(words).rstrip()


def table(rows: Sequence[Sequence[Sequence[Part]]], columns: int | None = None, *, indent: int = 2) -> list[str]:
    """Cells of parts as lines: every column but the last as wide as its widest cell, two spaces between."""
    widths: list[int] = []
    for row in rows:
        for n, cell in enumerate(row[:-1]):
            size = sum(width(text) for text, _ in cell)
            if n == len(widths):
                widths.append(0)
            widths[n] = max(widths[n], size)
    lines = []
    for row in rows:
        parts: list[Part] = [(" " * indent, PLAIN)]
        for n, cell in enumerate(row):
            parts += cell
            if n < len(row) - 1:
                parts.append((" " * (widths[n] - sum(width(text) for text, _ in cell) + 2), PLAIN))
        lines.append(paint(parts, columns))
    return lines


def bar(share: float) -> str:
    """`▓▓▓▓░░░░░░`."""
    full = round(min(max(share, 0.0), 1.0) * _BAR)
    return "▓" * full + "░" * (_BAR - full)


def header(state: RunState) -> list[Part]:
    """`digits v7 · 3f9c2e1   5 stages`."""
    version = f"v{state.number} · {state.version[:7]}" if state.number else state.version[:7]
    return [(line(state.name) or "run", BOLD), (f" {version}   {count(len(state.stages), 'stage')}", PLAIN)]


def stage_lines(
    stages: Sequence[StageState], *, now: float | None = None, columns: int | None = None, left: int = 0
) -> list[str]:
    """One line per stage. `left` is the least width of the names."""
    now = time.time() if now is None else now
    left = max([left, *(width(stage.name) for stage in stages)])
    lines = []
    for stage in stages:
        parts: list[Part] = [("  " + pad(line(stage.name), left) + "  ", PLAIN), *status_parts(stage.status)]
        lines.append(paint([*parts, (" ", PLAIN), *stage_detail(stage, now)], columns))
    return lines


def stage_detail(stage: StageState, now: float) -> list[Part]:
    """What stands behind the status: time, metrics, where it comes from, why."""
    if stage.status == "cached":
        return [(f"from {origin(stage.source)}" if stage.source else "", DIM), *_spaced(metrics_text(stage.metrics))]
    if stage.status == "running":
        return _running(stage, now)
    if stage.status == "succeeded":
        parts: list[Part] = [(f"{duration(stage.seconds):>7}", PLAIN), *_there(stage)]
        return [*parts, *_spaced(metrics_text(stage.metrics)), *_spaced(reasons_text(stage.reasons), DIM)]
    if stage.failure is not None:
        where = place(None, stage.failure.cell, stage.failure.line)
        said = line(stage.failure.message)
        took: Part = (f"{duration(stage.seconds):>7}", PLAIN)
        return [took, *_there(stage), *_spaced(f"{where}: {said}" if where else said)]
    return [(reasons_text(stage.reasons), DIM)]


def _there(stage: StageState) -> list[Part]:
    return _spaced(f"on {line(stage.on)}", DIM) if stage.on else []


def _running(stage: StageState, now: float) -> list[Part]:
    elapsed = max(now - stage.started, 0.0)
    parts: list[Part] = []
    if stage.expected:
        parts.append((bar(elapsed / stage.expected), {"fg": "blue"}))
        parts.append((f"  {duration(elapsed):>7}", PLAIN))
        remaining = stage.expected - elapsed
        parts.append((f"   ~{duration(remaining)} left" if remaining > 0 else "   longer than last time", DIM))
    else:
        parts.append((f"{duration(elapsed):>7}", PLAIN))
    again: list[Part] = [(f"   attempt {stage.attempt}", {"fg": "yellow"})] if stage.attempt > 1 else []
    return [*parts, *_there(stage), *again, *_spaced(reasons_text(stage.reasons), DIM)]


def reasons_text(reasons: Sequence[str]) -> str:
    """All reasons in one line."""
    return "; ".join(line(reason) for reason in reasons)


def metrics_text(metrics: Mapping[str, float], *, most: int = _METRICS) -> str:
    """`acc 0.921  loss 0.1`; of many metrics the first ones."""
    words = [f"{line(name)} {metric(number)}" for name, number in list(metrics.items())[:most]]
    more = len(metrics) - len(words)
    return "  ".join([*words, f"+{more} more"] if more > 0 else words)


def params_text(params: Mapping[str, Any], *, longest: int = 30) -> str:
    """`lr=0.01 epochs=3`."""
    return " ".join(f"{line(name)}={cut(value(item), longest)}" for name, item in params.items())


def _spaced(text: str, style: Mapping[str, Any] = PLAIN) -> list[Part]:
    return [("   ", PLAIN), (text, style)] if text else []
