"""What stands in a saved notebook, on GitHub and in nbconvert: plain HTML without script, and text. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from nbpipe.history.summary import RunSummary
from nbpipe.ui.rows import run_row
from nbpipe.ui.views import RunRow

_COLUMNS = 6
SYMBOLS = {
    "waiting": "○",
    "running": "●",
    "cached": "⚡",
    "succeeded": "✓",
    "failed": "✗",
    "rejected": "⊘",
    "timeout": "✗",
    "lost": "✗",
    "cancelled": "■",
    "interrupted": "■",
    "skipped": "·",
}


@dataclass(frozen=True, slots=True)
class Static:
    """The same in HTML and in text. The HTML holds no script, no style sheet and no link."""

    html: str
    text: str

    def bundle(self, view: str = "") -> dict[str, Any]:
        """The mime bundle. `view` is the live view that hides this one while it is there; "" for none."""
        name = f"nbp-static nbp-static-{view}" if view.isalnum() else "nbp-static"
        return {"text/html": f'<div class="{name}">{self.html}</div>', "text/plain": self.text}


def history(rows: Sequence[RunSummary], total: int) -> Static:
    """A table of the newest runs."""
    shown = [run_row(row) for row in rows]
    names = _columns(shown)
    head = ["run", "status", "started", "version", *(name for _, name in names)]
    body = [_cells(row, names) for row in shown]
    title = f"nbpipe history: {total} run{'' if total == 1 else 's'}"
    if len(shown) < total:
        title += f", the newest {len(shown)}"
    return Static(html=table(title, head, body), text=text_table(title, head, body))


def _columns(rows: Sequence[RunRow]) -> list[tuple[str, str]]:
    """Parameters that differ between the rows, then metrics; a handful."""
    params = dict.fromkeys(name for row in rows for name in row.params)
    varied = [name for name in params if len({repr(row.params.get(name)) for row in rows}) > 1]
    metrics = dict.fromkeys(name for row in rows for name in row.metrics)
    few = _COLUMNS // 2
    return [("params", name) for name in varied[:few]] + [("metrics", name) for name in list(metrics)[:few]]


def _cells(row: RunRow, names: Sequence[tuple[str, str]]) -> list[str]:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.started)) if row.started else ""
    cells = [row.run, f"{SYMBOLS.get(row.status, '?')} {row.status}", when, f"{row.name} {row.version}".strip()]
    for space, name in names:
        value = (row.params if space == "params" else row.metrics).get(name)
        cells.append("" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value))
    return [" ".join(cell.split()) for cell in cells]


def table(title: str, head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """HTML; every text is escaped."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body)
    return f"<p>{escape(title)}</p><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"


def text_table(title: str, head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """The same in text, columns below each other."""
    rows = [list(head), *map(list, body)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([title, *lines])
