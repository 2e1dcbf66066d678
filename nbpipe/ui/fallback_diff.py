"""The static copy of a diff: its figures as tables, its code as a unified diff. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from nbpipe.history.diff import Diff
from nbpipe.ui.fallback import Static, table, text_table
from nbpipe.ui.rows import clip

_HEAD = ("name", "change", "before", "after")
#: Lines of code that are kept of all hunks together.
_LINES = 200

Rows = list[list[str]]


def diff(found: Diff) -> Static:
    """Parameters, metrics, environment, and the code that changed."""
    title = f"nbpipe diff: {found.a.label} ↔ {found.b.label}"
    if found.same:
        title += ": nothing differs"
    parts = [(name, rows) for name, rows in _tables(found) if rows]
    code = list(_code(found))[:_LINES]
    html = [f"<p>{escape(title)}</p>", *(table(name, _HEAD, rows) for name, rows in parts)]
    text = [title, *(text_table(name, _HEAD, rows) for name, rows in parts)]
    if code:
        html.append(f"<pre>{escape(chr(10).join(code))}</pre>")
        text.append("\n".join(code))
    return Static(html="".join(html), text="\n\n".join(text))


def _tables(found: Diff) -> Iterator[tuple[str, Rows]]:
    params = [(item.name, item.change, _param(item.a), _param(item.b)) for item in found.params]
    metrics = [(item.name, item.change, _number(item.a), _number(item.b)) for item in found.metrics]
    environment = [(item.name, item.change, item.a or "", item.b or "") for item in found.environment]
    yield "parameters", _rows(params)
    yield "metrics", _rows(metrics)
    yield "environment", _rows(environment)


def _rows(items: Sequence[Sequence[str]]) -> Rows:
    return [[" ".join(clip(cell).split()) for cell in item] for item in items]


def _param(side: Any) -> str:
    if side is None:
        return ""
    return side.value if isinstance(side.value, str) else json.dumps(side.value, ensure_ascii=False, default=str)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _code(found: Diff) -> Iterator[str]:
    for item in found.code:
        yield f"{item.unit} {item.name}: {item.change}"
        for hunk in item.hunks:
            yield from map(clip, hunk.lines)
