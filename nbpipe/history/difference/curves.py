"""Metrics that were logged several times: from the job that logged them, else from the embedded MLflow, read only."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from nbpipe.tracking.mlflow import embedded
from nbpipe.tracking.spool import read_curves

Curve = Sequence[tuple[int, float]]
#: Points of a curve that travel in a diff.
MOST_POINTS = 400
#: Points that are read of one stage.
_MOST_ROWS = 200_000
_HISTORY = """
SELECT m.key, m.step, m.value, m.is_nan FROM metrics AS m
JOIN tags AS run ON run.run_uuid = m.run_uuid AND run.key = 'nbpipe.run_id' AND run.value = ?
JOIN tags AS stage ON stage.run_uuid = m.run_uuid AND stage.key = 'nbpipe.stage' AND stage.value = ?
ORDER BY m.key, m.timestamp, m.step LIMIT ?
"""


def curves_of_job(job: Path | None, project: Path, run: str, stage: str) -> Mapping[str, Curve]:
    """Metric -> (step, value) in the order in which they were logged; only metrics that were logged more than once.

    `job` is the folder of the stage's job; where it is gone, `run` and `stage` name it in the project's own MLflow.
    """
    if job is not None:
        logged = read_curves(job)
        return {
            name: [(point.step, point.value) for point in points] for name, points in logged.items() if len(points) > 1
        }
    return _delivered(embedded(project), run, stage)


def thinned(curve: Curve, most: int = MOST_POINTS) -> Curve:
    """At most `most` points; of each stretch, the lowest and the highest stay, so that no peak is lost."""
    if len(curve) <= most:
        return curve
    size = len(curve) / (most // 2)
    kept: list[tuple[int, float]] = []
    for n in range(most // 2):
        stretch = range(int(n * size), max(int((n + 1) * size), int(n * size) + 1))
        low = min(stretch, key=lambda at: curve[at][1])
        high = max(stretch, key=lambda at: curve[at][1])
        kept += [curve[at] for at in sorted({low, high})]
    return kept


def _delivered(database: Path, run: str, stage: str) -> Mapping[str, Curve]:
    """What MLflow holds. Its schema is its own: where it is another one, there are no curves."""
    if not database.is_file():
        return {}
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=1.0)) as connection:
            rows = connection.execute(_HISTORY, (run, stage, _MOST_ROWS)).fetchall()
    except sqlite3.Error:
        return {}
    found: dict[str, list[tuple[int, float]]] = {}
    for name, step, value, is_nan in rows:
        found.setdefault(str(name), []).append((int(step), float("nan") if is_nan else float(value)))
    return {name: points for name, points in found.items() if len(points) > 1}
