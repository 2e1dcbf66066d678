"""Writes runs to MLflow so that writing again changes nothing: look first; what is sought is part of the creation."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from nbpipe.tracking.spool import Dataset, Point

_STATUS = {
    "running": "RUNNING",
    "succeeded": "FINISHED",
    "cached": "FINISHED",
    "cancelled": "KILLED",
    "interrupted": "KILLED",
}
_BATCH = 100
_CURVE_BATCH = 500
_TEXT = 5000
_NAME = 500
_DIGEST = 36


class Projection:
    """One experiment of one MLflow.

    Responsibilities: finds or makes runs by their tags; logs to them in batches that MLflow accepts. Must not: know
    what a pipeline is.
    """

    def __init__(self, client: Any, experiment: str, artifact_root: str | None) -> None:
        self.client = client
        self.experiment = self._experiment(experiment, artifact_root)

    def run(self, name: str, identity: Mapping[str, str], tags: Mapping[str, str], *, started: float) -> str:
        """Id of the MLflow run with all tags of `identity`; made with them if there is none. `tags` are set anyway."""
        wanted = " and ".join(f"tags.`{key}` = '{_quoted(value)}'" for key, value in identity.items())
        found = self.client.search_runs(
            [self.experiment], wanted, max_results=1, order_by=["attributes.start_time ASC"]
        )
        if found:
            run_id: str = found[0].info.run_id
        else:
            made = self.client.create_run(
                self.experiment, start_time=int(started * 1000), tags=dict(identity), run_name=name
            )
            run_id = made.info.run_id
        self.log(run_id, tags=tags)
        return run_id

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        metrics: Mapping[str, Iterable[Point]] | None = None,
    ) -> None:
        """Log all that is given. A metric point that is already there is not logged again."""
        from mlflow.entities import Metric, Param, RunTag

        all_params = [Param(_key(name), _text(value)) for name, value in (params or {}).items()]
        all_tags = [RunTag(_key(name), text[:_TEXT]) for name, text in (tags or {}).items()]
        points = [
            Metric(_key(name), point.value, point.time, point.step)
            for name, curve in (metrics or {}).items()
            for point in dict.fromkeys(curve)
        ]
        for part in _parts(all_params, _BATCH):
            self.client.log_batch(run_id, params=part)
        for part in _parts(all_tags, _BATCH):
            self.client.log_batch(run_id, tags=part)
        for part in _parts(points, _CURVE_BATCH):
            self.client.log_batch(run_id, metrics=part)

    def inputs(self, run_id: str, datasets: Iterable[Dataset]) -> None:
        """Datasets as inputs; one that is there already is not logged again."""
        from mlflow.entities import Dataset as Shown
        from mlflow.entities import DatasetInput, InputTag

        found = [
            DatasetInput(
                Shown(
                    name=data.name[-_NAME:],
                    digest=data.digest[:_DIGEST],
                    source_type=data.source_type,
                    source=data.source,
                    schema=data.schema,
                    profile=data.profile,
                ),
                tags=[InputTag("mlflow.data.context", data.context)] if data.context else [],
            )
            for data in dict.fromkeys(datasets)
        ]
        for part in _parts(found, _BATCH):
            self.client.log_inputs(run_id, datasets=part)

    def file(self, run_id: str, source: Path, folder: str = "") -> None:
        """Put a file among the artifacts, over the one that may be there."""
        self.client.log_artifact(run_id, str(source), folder or None)

    def end(self, run_id: str, status: str, ended: float) -> None:
        """Give the run its final status; statuses that MLflow does not know are FAILED."""
        self.client.set_terminated(run_id, _STATUS.get(status, "FAILED"), int(ended * 1000))

    def _experiment(self, name: str, artifact_root: str | None) -> str:
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(name)
        if found is None:
            location = f"{artifact_root}/{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}" if artifact_root else None
            with contextlib.suppress(MlflowException):  # another project may have made it a moment ago
                return str(self.client.create_experiment(name, artifact_location=location))
            found = self.client.get_experiment_by_name(name)
            if found is None:
                return str(self.client.create_experiment(name, artifact_location=location))
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


def project_tag(project: Path) -> str:
    """What tells projects apart in one MLflow: a hash of host and path."""
    return hashlib.sha256(f"{platform.node()}:{project.resolve()}".encode()).hexdigest()[:16]


def _key(name: str) -> str:
    """Names as MLflow allows them."""
    return re.sub(r"[^\w\-./ :]", "_", name, flags=re.ASCII)[:250]


def _text(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=repr).decode()
    return text[:_TEXT]


def _quoted(value: str) -> str:
    return value.replace("'", "''")


def _parts(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
