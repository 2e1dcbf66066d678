"""Rows of the history read from MLflow: runs of teammates on a shared server, and own ones whose folders are gone."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import urlsplit

import msgspec

from nbpipe.history.pushdown import mlflow_filter
from nbpipe.history.summary import RunSummary, Status
from nbpipe.history.trials import trial_folder
from nbpipe.run import record as records
from nbpipe.run.project import Project
from nbpipe.tracking.mlflow import client, tracking_uri
from nbpipe.tracking.trial import read_trial

if TYPE_CHECKING:
    from nbpipe.history.search import Query

#: Rows looked at, newest first: more are left out, and the page says so.
MOST = 10_000
_PAGE = 1000
_EXPERIMENTS = 100
_SHORT = 8
_PATIENCE = 3.0
#: Seconds: MLflow keeps times in milliseconds.
_SAME = 0.01
_STATUSES = {"RUNNING": "running", "SCHEDULED": "running", "FINISHED": "succeeded", "KILLED": "cancelled"}


def remote_rows(project: Project, query: Query, *, own: bool) -> tuple[list[RunSummary], tuple[str, ...]]:
    """Rows that MLflow knows, and what could not be asked.

    What MLflow can filter it does; the caller filters the rest. Without `own` those that this project has a folder of
    are left out. A row is named `r12` where its folder is here, else `r12@3f9c2e1a`: by the id of its MLflow run.
    """
    uri = tracking_uri(project.root)
    if (why := _unreachable(uri)) is not None:
        return [], (why,)
    try:
        mlflow = client(project.root)
        rows: list[RunSummary] = []
        for run in _runs(mlflow, query):
            if len(rows) == MOST:
                return rows, (f"of the runs that MLflow knows only the newest {MOST:,} were looked at",)
            row = _row(run)
            here = row is not None and _is_here(project, run.data.tags, row)
            if row is not None and (own or not here):
                rows.append(msgspec.structs.replace(row, run=row.run.partition("@")[0]) if here else row)
    except Exception as error:  # noqa: BLE001 - whatever MLflow, its database or the network raises, local rows are shown
        return [], (f"MLflow cannot be asked: {type(error).__name__}: {str(error)[:200]}",)
    return rows, ()


def _unreachable(uri: str) -> str | None:
    """Why nobody answers: MLflow itself would try for a long time. None if somebody does, or it cannot be told."""
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), timeout=_PATIENCE).close()
    except (OSError, ValueError) as error:
        return f"MLflow at {parts.hostname} does not answer: {error}"
    return None


def _runs(mlflow: Any, query: Query) -> Iterator[Any]:
    """Parent runs and trials that nbpipe has written, newest first."""
    experiments = [found.experiment_id for found in _pages(mlflow.search_experiments, max_results=_PAGE)]
    for kind in query.kinds or ("run", "trial"):
        # Servers limit how many experiments one question may name.
        for start in range(0, len(experiments), _EXPERIMENTS):
            yield from _pages(
                mlflow.search_runs,
                experiment_ids=experiments[start : start + _EXPERIMENTS],
                filter_string=mlflow_filter(query, kind),
                max_results=_PAGE,
                order_by=["attributes.start_time DESC"],
            )


def _pages(ask: Any, **question: Any) -> Iterator[Any]:
    token = None
    while True:
        page = ask(**question, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _row(run: Any) -> RunSummary | None:
    tags: Mapping[str, str] = run.data.tags
    kind = "trial" if tags.get("nbpipe.kind") == "trial" else "run"
    name = tags.get("nbpipe.trial_id" if kind == "trial" else "nbpipe.run_id")
    if not name:
        return None
    status = tags.get("nbpipe.status", "")
    if status not in get_args(Status):
        status = _STATUSES.get(run.info.status, "failed")
    started, ended = (run.info.start_time or 0) / 1000, (run.info.end_time or 0) / 1000
    notebook = tags.get("mlflow.source.name", "")
    number = tags.get("nbpipe.number", "")
    return RunSummary(
        run=f"{name}@{run.info.run_id[:_SHORT]}",
        status=status,  # type: ignore[arg-type]  # looked up above
        kind=kind,  # type: ignore[arg-type]  # one of two
        notebook=notebook,
        name=Path(notebook).stem,
        version=tags.get("nbpipe.version", ""),
        number=int(number) if number.isascii() and number.isdigit() and len(number) < 16 else 0,  # noqa: PLR2004
        stage=tags.get("nbpipe.stage", "") if kind == "trial" else "",
        started=started,
        ended=ended,
        seconds=max(ended - started, 0.0) if ended else 0.0,
        params={key: _value(text) for key, text in run.data.params.items()},
        metrics={key: float(value) for key, value in run.data.metrics.items() if math.isfinite(value)},
        user=tags.get("mlflow.user", ""),
        commit=tags.get("mlflow.source.git.commit", "").lower(),
        tags={key: text for key, text in tags.items() if text and not key.startswith(("nbpipe.", "mlflow."))},
        source="mlflow",
        mlflow=run.info.run_id,
    )


def _is_here(project: Project, tags: Mapping[str, str], row: RunSummary) -> bool:
    """The run's own folder is in this project: the same name, made at the same microsecond."""
    if row.kind != "run":
        trial = read_trial(trial_folder(project) / f"{Path(tags['nbpipe.trial_id']).name}.json")
        return trial is not None and abs(trial.started - row.started) < _SAME
    record = records.read(project.runs / Path(tags["nbpipe.run_id"]).name)
    return record is not None and f"{record.created:.6f}" == tags.get("nbpipe.created")


def _value(text: str) -> Any:
    """A parameter as it was: MLflow keeps all of them as text."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return text
