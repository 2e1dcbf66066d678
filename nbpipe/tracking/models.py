"""Registered models and their aliases, in whichever MLflow the project speaks to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from nbpipe.errors import StoreError
from nbpipe.tracking.aliases import Change, Model, ModelVersion, change_tag, changes_of
from nbpipe.tracking.embedded import Embedded, is_known
from nbpipe.tracking.mlflow import client, tracking_uri


class Models(Protocol):
    """What promoting needs of a registry."""

    def all(self) -> list[Model]:
        """Every registered model, by name. Raises StoreError when the registry cannot be asked."""

    def get(self, name: str) -> Model | None:
        """One of them; None if it is not registered."""

    def move(self, name: str, change: Change) -> None:
        """Let the alias name the version, and record that. The version must be there."""


def open_models(project: Path) -> Models:
    """The project's registry. MLflow is not imported where its embedded database has tables that are known."""
    uri = os.environ.get("MLFLOW_REGISTRY_URI") or tracking_uri(project)
    if uri.startswith("sqlite:///"):
        database = Path(uri.removeprefix("sqlite:///"))
        if not database.exists() or is_known(database):
            return Embedded(database)
    return Served(project)


class Served:
    """A registry behind MLflow's own client: a server, or a database of another version."""

    def __init__(self, project: Path) -> None:
        with _asked():
            self._client = client(project)

    def all(self) -> list[Model]:
        """Every registered model, by name."""
        with _asked():
            found = list(_pages(self._client.search_registered_models, max_results=1000))
            return sorted((self._model(item) for item in found), key=lambda model: model.name)

    def get(self, name: str) -> Model | None:
        """One of them; None if it is not registered."""
        from mlflow.exceptions import MlflowException

        with _asked():
            try:
                return self._model(self._client.get_registered_model(name))
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise

    def move(self, name: str, change: Change) -> None:
        """Let the alias name the version, and record that."""
        with _asked():
            self._client.set_registered_model_alias(name, change.alias, change.version)
            self._client.set_registered_model_tag(name, *change_tag(change))

    def _model(self, found: Any) -> Model:
        quoted = found.name.replace("'", "''")
        versions = _pages(self._client.search_model_versions, filter_string=f"name = '{quoted}'", max_results=1000)
        return Model(
            name=found.name,
            aliases={alias: str(version) for alias, version in found.aliases.items()},
            changes=changes_of(found.tags),
            versions=tuple(sorted((_version(item) for item in versions), key=lambda item: int(item.version))),
        )


def _version(found: Any) -> ModelVersion:
    return ModelVersion(
        version=str(found.version),
        run=found.tags.get("nbpipe.run_id", ""),
        stage=found.tags.get("nbpipe.stage", ""),
        digest=found.tags.get("nbpipe.digest", ""),
        mlflow=found.run_id or "",
        created=(found.creation_timestamp or 0) / 1000,
    )


def _pages(ask: Any, **question: Any) -> Iterator[Any]:
    token = None
    while True:
        page = ask(**question, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


@contextmanager
def _asked() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        fix = "Check MLFLOW_TRACKING_URI and that the server is up, then try again."
        raise StoreError(f"the model registry cannot be asked: {error}", fix=fix) from error
