"""A trial is a run of kind `trial` in MLflow, once, and goes there with the next delivery."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from nbpipe.tracking import outbox
from nbpipe.tracking.deliver import deliver_pending
from nbpipe.tracking.mlflow import client
from nbpipe.tracking.trial import Trial, TrialError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trials delivered twice, and one that was removed before."""
    root = tmp_path_factory.mktemp("project")
    folder = root / ".nbpipe" / "trials"
    folder.mkdir(parents=True)
    good = Trial(
        id="t1",
        stage="train",
        notebook="nb/shop.ipynb",
        kernel="k",
        source="%%stage train\nx = 1",
        started=100.0,
        seconds=2.5,
        status="succeeded",
        params={"lr": 0.1},
        metrics={"acc": 0.9},
    )
    bad = msgspec.structs.replace(
        good, id="t2", status="failed", metrics={}, error=TrialError(ename="ValueError", evalue="no", line=2)
    )
    for trial in (good, bad, good):
        (folder / f"{trial.id}.json").write_bytes(msgspec.json.encode(trial))
        outbox.enqueue_trial(root / ".nbpipe", trial.id)
    outbox.enqueue_trial(root / ".nbpipe", "t3")
    assert [path.name for path in outbox.pending(root)] == ["t1.json", "t2.json", "t3.json"]
    assert deliver_pending(root, patience=0)
    outbox.enqueue_trial(root / ".nbpipe", "t1")
    assert deliver_pending(root, patience=0)
    return root


def test_each_trial_is_there_once_with_what_it_recorded(project: Path) -> None:
    assert outbox.pending(project) == []
    mlflow = client(project)
    experiment = mlflow.get_experiment_by_name("nb/shop.ipynb")
    found = {run.info.run_name: run for run in mlflow.search_runs([experiment.experiment_id])}
    assert sorted(found) == ["t1", "t2"]
    good, bad = found["t1"], found["t2"]
    assert good.data.tags["nbpipe.kind"] == "trial"
    assert good.data.tags["nbpipe.stage"] == "train"
    assert good.data.params == {"lr": "0.1"}
    assert good.data.metrics == {"acc": 0.9}
    assert (good.info.status, good.info.start_time, good.info.end_time) == ("FINISHED", 100_000, 102_500)
    assert bad.info.status == "FAILED"
    assert bad.data.tags["nbpipe.failure"] == "ValueError: no"
    names = [item.path for item in mlflow.list_artifacts(good.info.run_id)]
    assert names == ["cell.py", "trial.json"]
