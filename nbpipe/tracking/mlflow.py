"""Which MLflow a project speaks to, and a client for it. Importing this module does not import MLflow."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nbpipe.tracking.embedded import relocate


def embedded(project: Path) -> Path:
    """The database of the embedded store, whether or not it exists."""
    return project.resolve() / ".nbpipe" / "mlflow.db"


def tracking_uri(project: Path) -> str:
    """`MLFLOW_TRACKING_URI`, else the embedded store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{embedded(project)}"


def is_shared(project: Path) -> bool:
    """The project speaks to a server or database that others may use, too: not to a file."""
    scheme = tracking_uri(project).partition(":")[0]
    return "://" in tracking_uri(project) and scheme not in {"sqlite", "file"}


def artifact_root(project: Path) -> str | None:
    """Where artifacts of the embedded store lie; None when MLflow was chosen by the user, and so chooses itself."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    return _artifacts(project)


def _artifacts(project: Path) -> str:
    return "file://" + quote(str(project.resolve() / ".nbpipe" / "mlartifacts"))


def client(project: Path) -> Any:
    """An `mlflow.MlflowClient`. A server that is down is found out in seconds, not minutes; MLflow's chatter is off."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    uri = tracking_uri(project)
    database = embedded(project)
    if uri.startswith("sqlite:///"):
        database.parent.mkdir(parents=True, exist_ok=True)
    if uri == f"sqlite:///{database}":
        if database.exists():
            relocate(database, _artifacts(project))
        else:
            _make(database)
    return MlflowClient(tracking_uri=uri, registry_uri=os.environ.get("MLFLOW_REGISTRY_URI") or uri)


def _make(database: Path) -> None:
    """Make the database and its tables aside, and give it its name when it is whole.

    MLflow does not take up what it has half made: a kill or a full disk would leave a database that never works.
    """
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".mlflow-") as folder:
        aside = Path(folder) / database.name
        MlflowClient(tracking_uri=f"sqlite:///{aside}").search_experiments(max_results=1)
        try:
            os.link(aside, database)
        except OSError:
            # Where another process was faster, its database stays. Not every file system has links.
            if not database.exists():
                aside.replace(database)
