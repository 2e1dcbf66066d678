"""Rows of the history read from MLflow: runs of teammates on a shared server, and own ones whose folders are gone."""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import msgspec

from nbpipe.history.index import Entry
from nbpipe.history.summary import RunSummary, Status

_PAGE = 1000
_EXPERIMENTS = 100
_SHORT = 8
_PATIENCE = 3.0
#: Whoever can write to the server chooses the tags: what is no name of a run is none.
_NAME = re.compile(r"[rt][1-9][0-9]{0,8}")
_STATUSES = {"RUNNING": "running", "SCHEDULED": "running", "FINISHED": "succeeded", "KILLED": "cancelled"}


def unreachable(uri: str) -> str | None:
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


def remote_entries(mlflow: Any, filters: Iterable[str]) -> Iterator[Entry]:
    """Runs and trials that nbpipe has written and that meet one of the filters, newest first for each filter.

    A row is named `r12@3f9c2e1a`: by its project's name for it, and by the id of its MLflow run. Raises what MLflow
    raises.
    """
    experiments = [found.experiment_id for found in _pages(mlflow.search_experiments, max_results=_PAGE)]
    for wanted in filters:
        # Servers limit how many experiments one question may name.
        for start in range(0, len(experiments), _EXPERIMENTS):
            for run in _pages(
                mlflow.search_runs,
                experiment_ids=experiments[start : start + _EXPERIMENTS],
                filter_string=wanted,
                max_results=_PAGE,
                order_by=["attributes.start_time DESC"],
            ):
                row = _row(run)
                if row is not None:
                    yield Entry(row, made=run.info.start_time or 0)


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
    if name is None or not _NAME.fullmatch(name):
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


def _value(text: str) -> Any:
    """A parameter as it was: MLflow keeps all of them as text."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return text
