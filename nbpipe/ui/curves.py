"""Sparklines: the points of one metric of a run, from whatever its jobs left."""

from __future__ import annotations

from collections.abc import Sequence

from nbpipe.errors import NbpipeError
from nbpipe.history.difference.curves import thinned
from nbpipe.history.difference.run_view import RunView
from nbpipe.history.query import detail
from nbpipe.run.project import Project

#: Points of a sparkline.
POINTS = 60


def curve_names(project: Project, run: str) -> list[str]:
    """Metrics that the run logged more than once, in the order of its stages."""
    try:
        view, stages = RunView(project, run), detail(project, run).state.stages
    except NbpipeError:
        return []
    return list(dict.fromkeys(name for stage in stages for name in view.curves(stage.name)))


def curves(project: Project, runs: Sequence[str], metric: str) -> dict[str, Sequence[tuple[int, float]]]:
    """Run -> (step, value) of the last stage that logged the metric more than once; runs without are left out."""
    found = {}
    for run in runs:
        try:
            view, stages = RunView(project, run), detail(project, run).state.stages
        except NbpipeError:
            # A trial, a run that is gone, one that only a server knows: it has no job here, and no curve.
            continue
        logged = [points for stage in stages if (points := view.curves(stage.name).get(metric))]
        if logged:
            found[run] = thinned(logged[-1], POINTS)
    return found
