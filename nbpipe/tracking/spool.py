"""A stage's own MLflow run, on the disk of its job: what cells log lands here whether or not a server is up.

The folder is laid out as MLflow's file store, written without importing MLflow. Delivery copies it later.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

_RUN = "0123456789abcdef" * 2
_EXPERIMENT = "1"
#: Folders of a run that hold what cells log.
_LOGGED = {"metrics", "params", "tags", "artifacts", "inputs"}
#: MLflow's prefix of what is measured of the machine: curves, and nothing that a stage computed.
SYSTEM = "system/"


class Point(msgspec.Struct, frozen=True):
    """One logged value of a metric; `time` is milliseconds since the epoch."""

    time: int
    value: float
    step: int = 0


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset that cells or autolog logged as an input; fields as MLflow names them."""

    name: str
    digest: str
    source_type: str = "local"
    source: str = ""
    schema: str | None = None
    profile: str | None = None
    #: What it was used for: "train", "eval".
    context: str = ""


class Spooled(msgspec.Struct, frozen=True, kw_only=True):
    """What the cells of one stage logged, in all runs they opened. Artifact paths map to files in the spool."""

    #: The last value of each metric, those of the machine left out.
    metrics: dict[str, float] = {}
    curves: dict[str, tuple[Point, ...]] = {}
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    files: dict[str, Path] = {}
    datasets: tuple[Dataset, ...] = ()


def stage_environment(job_dir: Path) -> dict[str, str]:
    """Prepare the spool in `job_dir` and return the kernel's variables (`JobSpec.tracking`) that point MLflow at it."""
    root = (job_dir / "mlflow").resolve()
    run = root / _EXPERIMENT / _RUN
    for name in ("metrics", "params", "tags", "artifacts"):
        (run / name).mkdir(parents=True, exist_ok=True)
    now = int(time.time() * 1000)
    _write(
        root / _EXPERIMENT / "meta.yaml",
        {
            "artifact_location": (root / _EXPERIMENT).as_uri(),
            "creation_time": now,
            "experiment_id": _EXPERIMENT,
            "last_update_time": now,
            "lifecycle_stage": "active",
            "name": "stage",
        },
    )
    _write(
        run / "meta.yaml",
        {
            "artifact_uri": (run / "artifacts").as_uri(),
            "end_time": None,
            "entry_point_name": "",
            "experiment_id": _EXPERIMENT,
            "lifecycle_stage": "active",
            "run_id": _RUN,
            "run_name": "stage",
            "run_uuid": _RUN,
            "source_name": "",
            "source_type": 4,
            "source_version": "",
            "start_time": now,
            "status": 1,
            "tags": [],
            "user_id": "nbpipe",
        },
    )
    return {
        "MLFLOW_TRACKING_URI": root.as_uri(),
        "MLFLOW_RUN_ID": _RUN,
        "MLFLOW_EXPERIMENT_ID": _EXPERIMENT,
        "MLFLOW_ALLOW_FILE_STORE": "true",
    }


def read_spool(job_dir: Path) -> Spooled:
    """Return all that was logged; empty when nothing was. The stage's own run wins over runs the cells opened."""
    root = job_dir / "mlflow"
    runs = sorted(meta.parent for meta in root.glob("*/*/meta.yaml") if (meta.parent / "artifacts").is_dir())
    runs.sort(key=lambda run: run.name == _RUN)
    curves: dict[str, tuple[Point, ...]] = {}
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    files: dict[str, Path] = {}
    datasets: list[Dataset] = []
    for run in runs:
        curves |= {name: _points(path) for name, path in _tree(run / "metrics").items()}
        params |= {name: path.read_text() for name, path in _tree(run / "params").items()}
        own = {name: path.read_text() for name, path in _tree(run / "tags").items()}
        tags |= {name: text for name, text in own.items() if not name.startswith("mlflow.")}
        files |= _tree(run / "artifacts")
        datasets += _datasets(run)
    for folder in sorted(root.glob("*/models/*/artifacts")):
        # MLflow 3 keeps a logged model beside the runs, under an id of its own; people know it by its name.
        name = _model_name(folder.parent)
        files |= {f"models/{name}/{path}": file for path, file in _tree(folder).items()}
    # The curves keep what is not finite; JSON, which carries the last values, cannot.
    ends = {name: points[-1].value for name, points in curves.items() if points and not name.startswith(SYSTEM)}
    last = {name: value for name, value in ends.items() if math.isfinite(value)}
    return Spooled(metrics=last, curves=curves, params=params, tags=tags, files=files, datasets=tuple(datasets))


def read_curves(job_dir: Path) -> dict[str, tuple[Point, ...]]:
    """Only the metrics of `read_spool`, which is cheap where little was logged; those of the machine left out."""
    curves: dict[str, tuple[Point, ...]] = {}
    for run in sorted((job_dir / "mlflow").glob("*/*/metrics"), key=lambda folder: folder.parent.name == _RUN):
        if os.listdir(run):  # noqa: PTH208 - a name is enough
            named = {name: path for name, path in _tree(run).items() if not name.startswith(SYSTEM)}
            curves |= {name: _points(path) for name, path in named.items()}
    return curves


def write_curves(job_dir: Path, curves: Mapping[str, Sequence[Point]]) -> None:
    """A spool with these metrics, of a job that ran elsewhere. Names that lead out of the spool are left out."""
    stage_environment(job_dir)
    metrics = job_dir / "mlflow" / _EXPERIMENT / _RUN / "metrics"
    for name, points in curves.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            continue
        file = metrics / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{point.time} {point.value!r} {point.step}\n" for point in points))


def logged(job_dir: Path) -> dict[str, int]:
    """What cells have logged until now: the file of each thing, below the spool, and its bytes."""
    found: dict[str, int] = {}
    for name, path in _tree(job_dir / "mlflow").items():
        # Threads of the kernel may take files away meanwhile.
        with contextlib.suppress(FileNotFoundError):
            found |= {name: path.stat().st_size} if _of_cells(name) else {}
    return found


def cut_back(job_dir: Path, before: Mapping[str, int]) -> None:
    """Take out what was logged since `logged` gave `before`: new things, and later points. What was written over stays."""
    for name, path in _tree(job_dir / "mlflow").items():
        if not _of_cells(name):
            continue
        if name not in before:
            path.unlink(missing_ok=True)
        elif PurePosixPath(name).parts[2] == "metrics" and path.stat().st_size > before[name]:
            os.truncate(path, before[name])


def _of_cells(name: str) -> bool:
    parts = PurePosixPath(name).parts
    # What is measured of the machine goes on while a cell is mended.
    measured = parts[2:4] == ("metrics", SYSTEM.rstrip("/"))
    model = parts[1:2] == ("models",) and parts[3:4] == ("artifacts",)
    return model or (len(parts) > 3 and parts[2] in _LOGGED and not measured)  # noqa: PLR2004


def append(job_dir: Path, values: Mapping[str, float]) -> None:
    """One more point of each of these metrics of the stage's own run, now."""
    metrics = job_dir / "mlflow" / _EXPERIMENT / _RUN / "metrics"
    now = int(time.time() * 1000)
    for name, value in values.items():
        file = metrics / name
        file.parent.mkdir(parents=True, exist_ok=True)
        step = len(file.read_text().splitlines()) if file.exists() else 0
        with file.open("a") as points:
            points.write(f"{now} {value!r} {step}\n")


def _tree(folder: Path) -> dict[str, Path]:
    """Regular files below `folder` by relative path; links are left out, they may lead anywhere."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path for path in paths}


def _model_name(model: Path) -> str:
    """Its name, where the file that holds it is whole and the name is one folder; else its id."""
    name = str(_fields(model / "meta.yaml").get("name", ""))
    return name if name and "/" not in name and not name.startswith(".") else model.name


def _datasets(run: Path) -> list[Dataset]:
    """Inputs of a run: links to datasets, which lie beside the runs of the experiment."""
    found = []
    for link in sorted(run.glob("inputs/*/meta.yaml")):
        about = _fields(link)
        folder = PurePosixPath(str(about.get("source_id", ""))).name
        fields = {name: str(text) for name, text in _fields(run.parent / "datasets" / folder / "meta.yaml").items()}
        context = about.get("tags", {}).get("mlflow.data.context", "")
        if {"name", "digest"} <= set(fields):
            found.append(msgspec.convert(fields | {"context": str(context)}, Dataset))
    return found


def _fields(path: Path) -> dict[str, Any]:
    """A file of MLflow's; empty where it is not there or not whole."""
    import yaml  # type: ignore[import-untyped]

    try:
        fields = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _points(path: Path) -> tuple[Point, ...]:
    # A kernel killed while it logs leaves half a last line: only lines with an end count.
    whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    rows = [line.split() for line in whole]
    return tuple(Point(int(row[0]), float(row[1]), int(row[2]) if len(row) > 2 else 0) for row in rows)  # noqa: PLR2004


def _write(path: Path, fields: dict[str, object]) -> None:
    # JSON is YAML: no library is needed and no value can break out of its field.
    path.write_bytes(msgspec.json.encode(fields))
