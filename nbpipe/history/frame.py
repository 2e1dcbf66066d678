"""Rows of the history as a `pandas.DataFrame`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbpipe.history.summary import RunSummary

_PLAIN = ("run", "kind", "status", "notebook", "name", "version", "number", "stage", "seconds", "warnings")
_AFTER = ("user", "commit", "source")


def frame(rows: Sequence[RunSummary]) -> Any:
    """A column per field (times in UTC), then `params.NAME`, `metrics.NAME` and `tags.NAME`, each sorted by name."""
    import numpy as np
    import pandas as pd

    columns: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in _PLAIN}
    for name in ("started", "ended"):
        seconds = np.array([getattr(row, name) for row in rows], dtype=float)
        times = pd.to_datetime(np.where(seconds > 0, seconds, np.nan), unit="s", utc=True)
        columns[name] = times
    columns["failure"] = [row.failure.message if row.failure is not None else "" for row in rows]
    columns |= {name: [getattr(row, name) for row in rows] for name in _AFTER}
    params = [row.params for row in rows]
    for name in sorted({name for found in params for name in found}):
        columns[f"params.{name}"] = [found.get(name) for found in params]
    metrics = [row.metrics for row in rows]
    nan = float("nan")
    for name in sorted({name for found in metrics for name in found}):
        columns[f"metrics.{name}"] = np.array([found.get(name, nan) for found in metrics], dtype=float)
    tags = [row.tags for row in rows]
    for name in sorted({name for found in tags for name in found}):
        columns[f"tags.{name}"] = [found.get(name) for found in tags]
    return pd.DataFrame(columns)
