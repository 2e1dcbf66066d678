"""The static copy of a run while it is on, and of how it went. Pure."""

from __future__ import annotations

from nbpipe.ui.fallback import SYMBOLS, Static, table, text_table
from nbpipe.ui.views import ProgressView

_HEAD = ("stage", "status", "seconds", "why")


def progress(view: ProgressView) -> Static:
    """The run and a line per stage."""
    row = view.row
    took = f" in {row.seconds:.1f} s" if row.seconds is not None else ""
    title = " ".join(f"{row.run} {row.name} {row.version}: {row.status}{took}".split())
    if row.failure:
        title += f": {row.failure}"
    body = []
    for stage in view.stages:
        figures = [f"{name} {value:.4g}" for name, value in stage.metrics.items()]
        why = "   ".join(part for part in (stage.failure or stage.reason, *figures) if part)
        seconds = f"{stage.seconds:.1f}" if stage.seconds else ""
        body.append([stage.name, f"{SYMBOLS.get(stage.status, '?')} {stage.status}", seconds, " ".join(why.split())])
    return Static(html=table(title, _HEAD, body), text=text_table(title, _HEAD, body))
