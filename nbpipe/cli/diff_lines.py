"""A diff as lines for a terminal: its head, stages, parameters, metrics and environment; the rest stands beside."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from nbpipe.cli.diff_hunks import code_lines, hunk_lines
from nbpipe.cli.diff_values import data_lines, output_lines
from nbpipe.cli.render import BOLD, DIM, PLAIN, Part, paint, status_parts, table
from nbpipe.cli.text import count, cut, duration, line, metric, value

if TYPE_CHECKING:
    from nbpipe.history.diff import Diff
    from nbpipe.history.difference.shape import MetricDiff, ParamDiff, ParamValue, Side, StageDiff

#: Change -> mark and style; the word always stands beside.
MARKS: dict[str, Part] = {
    "same": ("=", DIM),
    "changed": ("~", {"fg": "yellow"}),
    "added": ("+", {"fg": "green"}),
    "removed": ("-", {"fg": "red"}),
    "renamed": ("→", {"fg": "cyan"}),
}
_TITLES = {
    "code": "code",
    "params": "parameters",
    "metrics": "metrics",
    "environment": "environment",
    "data": "data",
    "outputs": "outputs",
}
_SPARKS = "▁▂▃▄▅▆▇█"
_SPARK_WIDTH = 12
_LONGEST = 40


def lines(diff: Diff, *, columns: int | None = None, short: bool = True) -> list[str]:
    """The whole view. `short` cuts long pieces of code and outputs."""
    found = [*_head(diff, columns)]
    stages = _stages(diff.stages, everything=not short)
    sections: dict[str, Iterable[str]] = {
        "params": _params(diff.params, columns),
        "metrics": _metrics(diff.metrics, columns),
        "code": code_lines(diff.code, short=short),
        "environment": _environment(diff, columns),
        "data": data_lines(diff, columns),
        "outputs": output_lines(diff.outputs, columns, short=short),
    }
    if stages:
        found += ["", paint([("stages", BOLD)]), *table(stages, columns)]
    equal = []
    for part, section in sections.items():
        if part not in diff.parts:
            continue
        body = list(section)
        if body:
            found += ["", paint([(_TITLES[part], BOLD)]), *body]
        elif not any(note.part == part for note in diff.notes):
            equal.append(_TITLES[part])
    found += ["", *(paint([("note: ", {"fg": "yellow"}), (line(note.text), DIM)], columns) for note in diff.notes)]
    if diff.same and not diff.notes and len(diff.parts) == len(_TITLES):
        found.append("no differences")
    elif equal:
        found.append(paint([(f"no difference in {', '.join(equal)}", DIM)], columns))
    return found[:-1] if found and not found[-1] else found


def _head(diff: Diff, columns: int | None) -> list[str]:
    rows = [_side(name, side) for name, side in (("A", diff.a), ("B", diff.b))]
    return table(rows, columns, indent=0)


def _side(name: str, side: Side) -> list[list[Part]]:
    version = line(f"v{side.number} · {side.version[:7]}" if side.number else side.version[:7])
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(side.started)) if side.started else ""
    what = f"{line(side.name)} {version}".strip() + (f" · {line(side.stage)}" if side.stage else "")
    status: list[Part] = (
        status_parts(line(side.status), 0) if side.kind != "notebook" else [("as it is saved now", DIM)]
    )
    return [
        [(name, {"fg": "red"} if name == "A" else {"fg": "green"})],
        [(line(side.label), BOLD)],
        status,
        [(started, DIM)],
        [(duration(side.seconds) if side.seconds else "", PLAIN)],
        [(what, PLAIN)],
    ]


def _stages(stages: Sequence[StageDiff], *, everything: bool) -> list[list[list[Part]]]:
    rows = []
    for stage in stages:
        ended = _ended(stage)
        if stage.change == "same" and not stage.moved and not ended and not everything:
            continue
        mark, style = MARKS[stage.change]
        name = f"{line(stage.a)} → {line(stage.b)}" if stage.change == "renamed" else line(stage.name)
        words = [stage.change] + (["moved"] if stage.moved else [])
        why = "; ".join(line(reason) for reason in stage.reasons)
        rows.append(
            [
                [(mark, style)],
                [(name, PLAIN)],
                [(" and ".join(words), style)],
                [(", ".join(_TITLES[part] for part in stage.differs), PLAIN)],
                ended,
                [(why, DIM)],
            ]
        )
    return rows


def _ended(stage: StageDiff) -> list[Part]:
    """How it ended, where that is not the same on both sides; a cached result is a success like any other."""
    old, new = ("succeeded" if status == "cached" else status for status in (stage.a_status, stage.b_status))
    return [] if not old or not new or old == new else _arrow(line(old), line(new))


def _params(params: Sequence[ParamDiff], columns: int | None) -> list[str]:
    rows = []
    for param in params:
        mark, style = MARKS[param.change]
        rows.append(
            [
                [(mark, style)],
                [(line(param.name), PLAIN)],
                _arrow(_value(param.a), _value(param.b)),
                [(line(param.reason), DIM)],
                [(f"read by {line(', '.join(param.stages))}" if param.stages else "", DIM)],
            ]
        )
    return table(rows, columns)


def _value(param: ParamValue | None) -> str | None:
    if param is None:
        return None
    if param.source and not param.given:
        return cut(line(param.source), _LONGEST)
    return cut(line(str(param.value)) if param.cut else value(param.value), _LONGEST)


def _arrow(old: str | None, new: str | None) -> list[Part]:
    """`old → new`; one of them alone in its colour."""
    if old is not None and new is not None:
        return [(old, PLAIN)] if old == new else [(old, {"fg": "red"}), (" → ", DIM), (new, {"fg": "green"})]
    return [(new, {"fg": "green"})] if new is not None else [(old or "", {"fg": "red"})]


def _metrics(metrics: Sequence[MetricDiff], columns: int | None) -> list[str]:
    rows = []
    for found in metrics:
        mark, style = MARKS[found.change]
        curves: list[Part] = []
        if found.curve is not None and not found.curve.same:
            old, new = _sparks(found.curve.a, found.curve.b)
            curves = [(old, {"fg": "red"}), ("  ", PLAIN), (new, {"fg": "green"})]
        rows.append(
            [
                [(mark, style)],
                [(line(found.stage), DIM)],
                [(line(found.name), PLAIN)],
                _arrow(_number(found.a), _number(found.b)),
                [(_moved(found), BOLD)],
                curves,
            ]
        )
    return table(rows, columns)


def _number(number: float | None) -> str | None:
    return None if number is None else metric(number)


def _moved(found: MetricDiff) -> str:
    if not found.delta:
        return ""
    arrow = "▲" if found.delta > 0 else "▼"
    share = f" ({found.relative:+.1%})" if found.relative is not None else ""
    return f"{arrow} {metric(abs(found.delta))}{share}"


def _sparks(*curves: Sequence[tuple[int, float | None]]) -> list[str]:
    """Small plots of the curves, on one scale."""
    numbers = [number for curve in curves for _, number in curve if number is not None]
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    size = high - low
    plots = []
    for curve in curves:
        step = max(len(curve) / _SPARK_WIDTH, 1.0)
        picked = [curve[int(n * step)][1] for n in range(min(len(curve), _SPARK_WIDTH))]
        plots.append(
            "".join(" " if at is None else _SPARKS[int((at - low) / size * 7) if size else 0] for at in picked)
        )
    return plots


def _environment(diff: Diff, columns: int | None) -> list[str]:
    rows: list[list[list[Part]]] = [
        [
            [MARKS[fact.change]],
            [("" if fact.group == fact.name else fact.group, DIM)],
            [(line(fact.name), PLAIN)],
            _arrow(*(cut(line(text), _LONGEST) if text is not None else None for text in (fact.a, fact.b))),
        ]
        for fact in diff.environment
    ]
    found = table(rows, columns)
    for fact in diff.environment:
        if fact.hunks:
            size = count(len(fact.hunks), "place")
            found += [paint([(f"  {line(fact.name)} changes differ in {size}", DIM)], columns)]
            found += hunk_lines(fact.hunks, indent=4, most=40)
    return found
