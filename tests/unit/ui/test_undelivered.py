"""That MLflow did not take a run is said with the history, for as long as it is so."""

from __future__ import annotations

import os
from pathlib import Path

from nbpipe.history.search import Query
from nbpipe.run.project import Project
from nbpipe.tracking import outbox
from nbpipe.ui.answers import Answers


def test_runs_whose_delivery_failed_are_named_until_they_are_delivered(tmp_path: Path) -> None:
    def said() -> tuple[str, ...]:
        return Answers(Project(tmp_path)).page(Query()).problems

    run = tmp_path / ".nbpipe" / "runs" / "r2"
    run.mkdir(parents=True)
    assert said() == ()
    noted = outbox.enqueue(run)
    # It is on its way.
    assert said() == ()
    # What MLflow itself writes there says nothing of how it ended.
    (noted.parent / outbox.LOG).write_text("View run r2 at ...\n")
    failed = noted.parent / outbox.FAILED
    failed.touch()
    os.utime(failed, (noted.stat().st_mtime - 60,) * 2)
    assert said() == ()
    os.utime(failed)
    (text,) = said()
    assert text.startswith("not in MLflow yet: r2;")
    noted.unlink()
    assert said() == ()
