"""Runs not yet delivered to MLflow: one small file each, named by the run."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


def enqueue(run_dir: Path) -> Path:
    """Note durably that `run_dir` (`.nbpipe/runs/rN`) is to be delivered; doing it again changes nothing."""
    box = run_dir.resolve().parents[1] / "outbox"
    box.mkdir(parents=True, exist_ok=True)
    path = box / f"{run_dir.name}.json"
    scratch = box / f".{run_dir.name}.{os.getpid()}"
    with scratch.open("wb") as out:
        out.write(msgspec.json.encode({"schema": 1, "run": run_dir.name}))
        out.flush()
        os.fsync(out.fileno())
    scratch.replace(path)
    folder = os.open(box, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path


def pending(project: Path) -> list[Path]:
    """Folders of the runs still to be delivered, by name."""
    box = project / ".nbpipe" / "outbox"
    return [project / ".nbpipe" / "runs" / path.stem for path in sorted(box.glob("*.json"))]
