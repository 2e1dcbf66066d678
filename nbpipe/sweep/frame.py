"""The trials of a sweep as a `pandas.DataFrame`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbpipe.sweep.study import Study

_PLAIN = ("number", "status", "run", "seconds", "reason")


def frame(study: Study) -> Any:
    """A row per trial, by number: its plain fields, whether it is among the best, `params.NAME`, `metrics.NAME`."""
    import pandas as pd

    best = {trial.number for trial in study.best}
    columns: dict[str, Any] = {name: [getattr(trial, name) for trial in study.trials] for name in _PLAIN}
    columns["best"] = [trial.number in best for trial in study.trials]
    for name in (dimension.name for dimension in study.spec.space):
        columns[f"params.{name}"] = [trial.params.get(name) for trial in study.trials]
    nan = float("nan")
    for name in sorted({name for trial in study.trials for name in trial.metrics}):
        columns[f"metrics.{name}"] = [trial.metrics.get(name, nan) for trial in study.trials]
    return pd.DataFrame(columns)
