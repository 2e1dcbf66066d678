"""`nbpipe.log_metric`: a metric with its steps, without the second that importing MLflow takes."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

_NAME = re.compile(r"[\w\-. :]+(?:/[\w\-. :]+)*", re.ASCII)
_LONGEST = 250


def log_metric(name: str, value: float, step: int = 0) -> None:
    """Log a value of a metric while a stage runs: `nbpipe.log_metric("loss", loss, step=epoch)`.

    It lands in the stage's MLflow run, as with `mlflow.log_metric`; a sweep stops weak trials by it. In a live notebook
    it goes to MLflow's active run, where there is one; else nowhere. Raises ValueError for a name that MLflow refuses,
    TypeError for what is no number.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST or any(part in (".", "..") for part in name.split("/")):
        raise ValueError(f"{name[:80]!r} cannot be the name of a metric: letters, digits, spaces and _ - . : / can")
    number, at = float(value), int(step)
    folder = _spool()
    if folder is None:
        mlflow = sys.modules.get("mlflow")
        if mlflow is not None and mlflow.active_run() is not None:
            mlflow.log_metric(name, number, step=at)
        return
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    # One write: who reads while it is written sees whole lines.
    with path.open("ab", buffering=0) as file:
        file.write(f"{int(time.time() * 1000)} {number!r} {at}\n".encode())


def _spool() -> Path | None:
    """Where the metrics of the stage lie that runs in this process; None outside a stage's job."""
    place, run = urlsplit(os.environ.get("MLFLOW_TRACKING_URI", "")), os.environ.get("MLFLOW_RUN_ID", "")
    if place.scheme != "file" or not run.isalnum():
        return None
    folder = Path(unquote(place.path)) / os.environ.get("MLFLOW_EXPERIMENT_ID", "0") / run / "metrics"
    return folder if folder.is_dir() else None
