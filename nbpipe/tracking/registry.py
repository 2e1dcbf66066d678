"""The model registry, as far as runs need it: metrics of the champion, aliases, and versions for stored models."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nbpipe.errors import StoreError, UsageError
from nbpipe.tracking.mlflow import client, tracking_uri

CHAMPION = "champion"

_ALIAS = "SELECT 1 FROM registered_model_aliases WHERE name = ? AND alias = ?"
_METRICS = """
SELECT m.key, m.value, m.is_nan FROM registered_model_aliases a
JOIN model_versions v ON v.name = a.name AND v.version = a.version
JOIN latest_metrics m ON m.run_uuid = v.run_id
WHERE a.name = ? AND a.alias = ?
"""


def champion_metrics(project: Path, registered: str) -> dict[str, float]:
    """Metrics of the run that made the version with the alias `champion`; empty when no version has it.

    Cheap with the embedded store: MLflow is not imported, the database only read. Raises StoreError when the registry
    is there but cannot be asked, or the champion has no metrics: a gate must not pass because of that.
    """
    uri = os.environ.get("MLFLOW_REGISTRY_URI") or tracking_uri(project)
    if uri.startswith("sqlite:///"):
        return _embedded_metrics(Path(uri.removeprefix("sqlite:///")), registered)
    return _remote_metrics(project, registered)


def set_alias(project: Path, registered: str, version: int | str, alias: str) -> None:
    """Make `alias` name this version alone. Raises UsageError if it is not there, StoreError if MLflow fails."""
    from mlflow.exceptions import MlflowException

    try:
        mlflow = client(project)
        mlflow.get_model_version(registered, str(version))
        mlflow.set_registered_model_alias(registered, alias, str(version))
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise UsageError(f"the registry refuses: {error.message}", name=f"{registered}:{version}") from error
        raise _unreachable(registered, error) from error


def register(mlflow: Any, registered: str, *, run_id: str, source: str, tags: dict[str, str]) -> str:
    """Number of the version of `registered` with the tag `nbpipe.digest` of `tags`; made if there is none yet."""
    from mlflow.exceptions import MlflowException

    try:
        mlflow.create_registered_model(registered)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    name = registered.replace("'", "''")
    for found in mlflow.search_model_versions(f"name = '{name}'"):
        if found.tags.get("nbpipe.digest") == tags["nbpipe.digest"]:
            return str(found.version)
    return str(mlflow.create_model_version(registered, source=source, run_id=run_id, tags=tags).version)


def _embedded_metrics(database: Path, registered: str) -> dict[str, float]:
    if not database.exists():
        return {}
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, timeout=10)) as connection:
            rows = connection.execute(_METRICS, (registered, CHAMPION)).fetchall()
            if not rows and connection.execute(_ALIAS, (registered, CHAMPION)).fetchone():
                raise _without_metrics(registered)
    except sqlite3.Error as error:
        if "no such table" in str(error):  # the first delivery is just making it
            return {}
        raise _unreachable(registered, error) from error
    return {key: float("nan") if is_nan else float(value) for key, value, is_nan in rows}


def _remote_metrics(project: Path, registered: str) -> dict[str, float]:
    from mlflow.exceptions import MlflowException

    try:
        mlflow = client(project)
        version = mlflow.get_model_version_by_alias(registered, CHAMPION)
        metrics = dict(mlflow.get_run(version.run_id).data.metrics) if version.run_id else {}
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return {}
        raise _unreachable(registered, error) from error
    if not metrics:
        raise _without_metrics(registered)
    return metrics


def _without_metrics(registered: str) -> StoreError:
    return StoreError(
        f"the champion of '{registered}' has no metrics to compare with",
        name=registered,
        fix=f"Give the alias '{CHAMPION}' to a version that a run made.",
    )


def _unreachable(registered: str, error: Exception) -> StoreError:
    return StoreError(
        f"the model registry cannot be asked about '{registered}': {error}",
        name=registered,
        fix="Check MLFLOW_TRACKING_URI and that the server is up, then run again.",
    )
