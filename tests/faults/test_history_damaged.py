"""What lies beside a run, or in MLflow's database, is damaged: an error that says so, no traceback and no wrong word."""

from __future__ import annotations

from pathlib import Path

import pytest
from written import write_run

from nbpipe.errors import StoreError, UsageError
from nbpipe.explain.side import load_side
from nbpipe.run.project import Project
from nbpipe.store import open_store
from nbpipe.tracking.models import open_models
from nbpipe.tracking.promotion import promote


@pytest.mark.parametrize("damage", [b"", b"[1, 2]", b"\x00\xff", b'{"id": 7}'])
def test_a_record_that_cannot_be_read_is_named(tmp_path: Path, damage: bytes) -> None:
    project = Project(tmp_path)
    folder = project.run_folder(write_run(project, metrics={"acc": 0.5}))
    (folder / "run.json").write_bytes(damage)
    with pytest.raises(UsageError, match=r"run\.json is gone or damaged"):
        load_side(project, "r1", "acc", open_store(project.store))
    with pytest.raises((StoreError, UsageError), match="r1"):
        promote(tmp_path, folder, model="acc", name="digits")


def test_a_database_of_mlflow_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    (tmp_path / ".nbpipe").mkdir()
    (tmp_path / ".nbpipe" / "mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"mlflow\.db is damaged"):
        open_models(tmp_path)
