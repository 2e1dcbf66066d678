"""Registered models in MLflow's SQLite database, read and written without importing MLflow, which takes seconds.

Only tables of a version that was tried are touched: `is_known`. Two tables are written, in one transaction: the
alias, and the tag that says who moved it.
"""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from nbpipe.errors import StoreError
from nbpipe.tracking.aliases import Change, Model, ModelVersion, change_tag, changes_of

#: Revisions of MLflow's tables (`alembic_version`) that this was tried with: MLflow 3.17.
KNOWN = frozenset({"dc11669786a5"})
_WORKSPACE = "default"
#: Where MLflow notes the place of artifacts: table and column.
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_VERSIONS = "SELECT name, version, run_id, creation_time FROM model_versions WHERE workspace = ? ORDER BY version"
_TAGS = "SELECT name, version, key, value FROM model_version_tags WHERE workspace = ? AND key LIKE 'nbpipe.%'"


def is_known(database: Path) -> bool:
    """The database has tables of a revision that was tried. Raises StoreError where the file is no database."""
    try:
        with closing(_connect(database, "ro")) as connection:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError as error:
        fix = "Move it away: a new one is made, and runs that are still here are not lost."
        raise StoreError(f"the MLflow database {database} is damaged: {error}", name=str(database), fix=fix) from error
    return {revision for (revision,) in found} <= KNOWN and bool(found)


def relocate(database: Path, root: str) -> None:
    """Let what the database says of its artifacts follow a project that was moved or copied: they lie at `root`, a URI, now.

    MLflow notes absolute places: new files would go to the old one, which another project may have. Raises sqlite3.Error.
    """
    with closing(_connect(database, "ro")) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone():
            return
        found = connection.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
    places = {str(place).rpartition("/")[0] for (place,) in found}
    tail = "/.nbpipe/mlartifacts"
    old = sorted(place for place in places if place.startswith("file://") and place.endswith(tail) and place != root)
    if not old:
        return
    with closing(_connect(database, "rw")) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        for table, column in _PLACES:
            if not any(name == column for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")):
                continue
            for place in old:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608 - names of the table above
                    (root, len(place) + 1, len(place) + 1, f"{place}/"),
                )


class Embedded:
    """The registry in one database file; empty where that is not there yet."""

    def __init__(self, database: Path) -> None:
        self._database = database

    def all(self) -> list[Model]:
        """Every registered model, by name."""
        if not self._database.exists():
            return []
        with _told(), closing(_connect(self._database, "ro")) as connection:
            ask = connection.execute
            names = [name for (name,) in ask("SELECT name FROM registered_models WHERE workspace = ?", (_WORKSPACE,))]
            aliases: dict[str, dict[str, str]] = defaultdict(dict)
            for name, alias, version in ask("SELECT name, alias, version FROM registered_model_aliases"):
                aliases[name][alias] = str(version)
            tags: dict[str, dict[str, str]] = defaultdict(dict)
            for name, key, value in ask("SELECT name, key, value FROM registered_model_tags"):
                tags[name][key] = value or ""
            about: dict[tuple[str, int], dict[str, str]] = defaultdict(dict)
            for name, version, key, value in ask(_TAGS, (_WORKSPACE,)):
                about[name, version][key] = value or ""
            versions: dict[str, list[ModelVersion]] = defaultdict(list)
            for name, version, run_id, created in ask(_VERSIONS, (_WORKSPACE,)):
                versions[name].append(_version(version, run_id, created, about[name, version]))
        return [
            Model(name=name, versions=tuple(versions[name]), aliases=aliases[name], changes=changes_of(tags[name]))
            for name in sorted(names)
        ]

    def get(self, name: str) -> Model | None:
        """One of them; None if it is not registered."""
        return next((model for model in self.all() if model.name == name), None)

    def move(self, name: str, change: Change) -> None:
        """Let the alias name the version, and record that: both or neither."""
        key, text = change_tag(change)
        now = int(time.time() * 1000)
        with _told(), closing(_connect(self._database, "rw")) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("BEGIN IMMEDIATE")
            write = connection.execute
            write(
                "INSERT OR REPLACE INTO registered_model_aliases (workspace, name, alias, version) VALUES (?, ?, ?, ?)",
                (_WORKSPACE, name, change.alias, int(change.version)),
            )
            write(
                "INSERT OR REPLACE INTO registered_model_tags (workspace, name, key, value) VALUES (?, ?, ?, ?)",
                (_WORKSPACE, name, key, text),
            )
            write(
                "UPDATE registered_models SET last_updated_time = ? WHERE workspace = ? AND name = ?",
                (now, _WORKSPACE, name),
            )


def _version(version: int, run_id: str | None, created: int | None, tags: dict[str, str]) -> ModelVersion:
    return ModelVersion(
        version=str(version),
        run=tags.get("nbpipe.run_id", ""),
        stage=tags.get("nbpipe.stage", ""),
        digest=tags.get("nbpipe.digest", ""),
        mlflow=run_id or "",
        created=(created or 0) / 1000,
    )


def _connect(database: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(database))}?mode={mode}", uri=True, timeout=10)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"the model registry cannot be asked: {error}", fix="Try again: nbpipe doctor") from error
