"""The history of a project whose runs, and those of others, are on one MLflow server."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tracked import free_port, make_database, server
from written import write_run

from nbpipe.errors import UsageError
from nbpipe.history import mirror
from nbpipe.history.notes import tag
from nbpipe.history.refresh import forget
from nbpipe.history.search import Query, search
from nbpipe.run.project import Project
from nbpipe.tracking.deliver import deliver
from nbpipe.tracking.mlflow import client

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

GIT = {"user": "bo", "git": {"commit": "b0b0b0"}}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, Project]]:
    """Two projects that deliver to one server; each has runs r1 and r2. One of the first's is only on the server."""
    folder = tmp_path_factory.mktemp("shared")
    port = free_port()
    mine, theirs = Project(folder / "mine"), Project(folder / "theirs")
    make_database(folder / "server.db")
    with pytest.MonkeyPatch.context() as patch:
        # Delivered into the server's own database: that takes a fraction of the time.
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/server.db")
        write_run(mine, params={"lr": 0.1, "model": "cnn"}, metrics={"acc": 0.9})
        write_run(mine, params={"lr": 0.2}, metrics={"acc": 0.8})
        # Times are asked of the server in its milliseconds: who began in the same one began at the same time.
        time.sleep(0.02)
        write_run(theirs, params={"lr": 0.1}, metrics={"acc": 0.95, "only/theirs": 1.0}, environment=GIT)
        write_run(theirs, status="failed", environment=GIT)
        tag(theirs.runs / "r1", {"team": "vision", "draft": ""})
        for project in (mine, theirs):
            for run in ("r1", "r2"):
                deliver(project.runs / run, project.root)
        shutil.rmtree(mine.runs / "r2")
        patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        with server(folder, port):
            yield mine, theirs


def asked(project: Project, source: Any = "auto", **question: Any) -> list[tuple[str, str]]:
    """Id, cut before the MLflow id, and user of each row."""
    page = search(project, Query(**question), source=source)
    assert page.problems == ()
    return [(row.run.partition("@")[0] + "@" * ("@" in row.run), row.user) for row in page.rows]


def test_runs_of_teammates_stand_beside_the_own_which_are_told_by_their_folders(
    shared: tuple[Project, Project],
) -> None:
    mine, _ = shared
    assert asked(mine) == [("r2@", "bo"), ("r1@", "bo"), ("r2@", ""), ("r1", "")]
    rows = {row.run.partition("@")[0] + row.user: row for row in search(mine, source="auto").rows}
    assert (rows["r1"].source, rows["r1"].params) == ("", {"lr": 0.1, "model": "cnn"})
    theirs = rows["r1bo"]
    assert (theirs.source, theirs.status, theirs.metrics) == ("mlflow", "succeeded", {"acc": 0.95, "only/theirs": 1.0})
    assert (theirs.params, theirs.commit, theirs.tags) == ({"lr": 0.1}, "b0b0b0", {"team": "vision"})
    assert (theirs.name, theirs.number, len(theirs.mlflow)) == ("digits", 3, 32)
    assert rows["r2bo"].status == "failed"


def test_the_own_runs_read_from_the_server_have_their_own_names_where_they_are_here(
    shared: tuple[Project, Project],
) -> None:
    mine, theirs = shared
    assert asked(mine, "mlflow") == [("r2@", "bo"), ("r1@", "bo"), ("r2@", ""), ("r1", "")]
    assert asked(theirs, "mlflow") == [("r2", "bo"), ("r1", "bo"), ("r2@", ""), ("r1@", "")]
    assert asked(mine, "local") == [("r1", "")]


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ({"where": ("acc > 0.85",)}, [("r1@", "bo"), ("r1", "")]),
        ({"where": ("metrics.acc > 0.85 and lr = 0.1",)}, [("r1@", "bo"), ("r1", "")]),
        ({"where": ('metrics["only/theirs"] >= 1',)}, [("r1@", "bo")]),
        ({"where": ("not metrics.acc > 0.85",)}, [("r2@", "")]),
        ({"statuses": ("failed",)}, [("r2@", "bo")]),
        ({"statuses": ("failed", "succeeded"), "commit": "b0b0"}, [("r2@", "bo"), ("r1@", "bo")]),
        ({"tags": {"team": "vision"}}, [("r1@", "bo")]),
        ({"tags": {"it's": "x' OR 'y"}}, []),
        ({"text": "bo succeeded"}, [("r1@", "bo")]),
        ({"notebook": "digits", "sort": "acc", "limit": 1}, [("r1@", "bo")]),
        ({"kinds": ("trial",)}, []),
    ],
)
def test_questions_mean_the_same_for_rows_of_the_server(
    shared: tuple[Project, Project], question: dict[str, Any], rows: list[tuple[str, str]]
) -> None:
    assert asked(shared[0], **question) == rows


@pytest.mark.long
def test_a_server_with_more_runs_than_are_kept_is_asked_itself_and_filters(
    shared: tuple[Project, Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, theirs = shared
    forget(theirs)
    monkeypatch.setattr(mirror, "MOST", 2)
    page = search(theirs, source="mlflow")
    assert [row.run.partition("@")[0] for row in page.rows] == ["r2", "r1"]
    assert len(page.problems) == 1
    question = Query(where=("metrics.acc < 0.85",), until=time.time(), tags={})
    page = search(theirs, question, source="mlflow")
    assert [(row.run.partition("@")[0], row.metrics) for row in page.rows] == [("r2", {"acc": 0.8})]
    assert page.problems == ()
    forget(theirs)


@pytest.mark.long
def test_what_others_add_and_delete_is_seen(shared: tuple[Project, Project], monkeypatch: pytest.MonkeyPatch) -> None:
    mine, theirs = shared
    monkeypatch.setattr(mirror, "FRESH", 0.0)
    before = len(asked(mine))
    new = write_run(theirs, metrics={"acc": 0.99})
    _, _, made = deliver(theirs.runs / new, theirs.root)
    assert len(asked(mine)) == before + 1
    assert asked(mine, sort="acc", limit=1) == [("r3@", "")]
    mlflow = client(mine.root)
    mlflow.delete_run(made)
    assert len(asked(mine)) == before
    mlflow.create_run("0", tags={"nbpipe.kind": "run", "nbpipe.run_id": "../../r1", "nbpipe.number": "x"})
    assert len(asked(mine)) == before, "whoever writes to the server must not choose names that are paths"


def test_times_are_asked_of_the_server_in_its_own_unit(shared: tuple[Project, Project]) -> None:
    mine, _ = shared
    started = {row.run.partition("@")[0] + row.user: row.started for row in search(mine, source="auto").rows}
    assert asked(mine, since=started["r1bo"] - 0.001) == [("r2@", "bo"), ("r1@", "bo")]
    assert asked(mine, until=started["r1bo"] - 0.001) == [("r2@", ""), ("r1", "")]


def test_a_condition_that_is_none_is_refused_before_the_server_is_asked(shared: tuple[Project, Project]) -> None:
    with pytest.raises(UsageError):
        asked(shared[0], where=("acc >",))


def test_a_server_that_is_down_leaves_the_own_runs_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    project = Project(tmp_path)
    write_run(project)
    start = time.monotonic()
    page = search(project, source="auto")
    assert [row.run for row in page.rows] == ["r1"]
    assert len(page.problems) == 1
    assert "does not answer" in page.problems[0]
    assert time.monotonic() - start < 60
