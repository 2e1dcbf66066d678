"""Metrics that cells logged several times: they travel with a stage's result to where the run is written down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from nbpipe.history.difference.curves import thinned
from nbpipe.tracking.spool import Point, read_curves, write_curves

#: Metric -> (milliseconds since the epoch, value, step) of each point.
Curves = Mapping[str, tuple[tuple[int, float, int], ...]]
#: Points of a metric that travel; of a longer curve the highs and lows stay.
_MOST_POINTS = 2000


def logged_in(engine: Path, stage: str) -> Curves:
    """What the cells logged in the stage's last attempt; `engine` is the folder of the engine's run."""
    jobs = sorted((engine / "jobs").glob(f"{stage}.*"), key=lambda job: int(job.suffix[1:]))
    if not jobs:
        return {}
    found = {}
    for name, logged in read_curves(jobs[-1]).items():
        # JSON has no infinities.
        points = [point for point in logged if math.isfinite(point.value)]
        # Places take part in thinning as if they were steps.
        places = thinned([(at, point.value) for at, point in enumerate(points)], _MOST_POINTS)
        kept = [points[at] for at, _ in places]
        found[name] = tuple((point.time, point.value, point.step) for point in kept)
    return found


def write(run: Path, stage: str, curves: Curves) -> None:
    """Put them where the history and MLflow look for what the job of a run logged."""
    if curves:
        points = {name: [Point(*each) for each in points] for name, points in curves.items()}
        write_curves(run / "jobs" / f"{stage}.1", points)
