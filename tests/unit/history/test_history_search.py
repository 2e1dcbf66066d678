"""What a question to the history finds, in which order, and which questions are refused."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from written import write_run

from nbpipe.errors import UsageError
from nbpipe.history.notes import tag
from nbpipe.history.search import Query, search
from nbpipe.run.project import Project
from nbpipe.tracking.notes import read_notes
from nbpipe.tracking.trial import Trial, TrialError


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Four runs and a trial; nothing changes them, and nothing is delivered."""
    made = Project(tmp_path_factory.mktemp("searched"))
    git = {"user": "ada", "git": {"commit": "ABC123def"}}
    write_run(made, params={"lr": 0.1, "model": "cnn", "big": 10**30}, metrics={"acc": 0.9, "val/acc": 0.8})
    write_run(made, params={"lr": 0.01, "model": "mlp"}, metrics={"acc": 0.95, "loss": 0.2}, environment=git)
    write_run(made, params={"lr": 0.01, "model": "resnet", "aug": True}, status="failed")
    write_run(made, name="weather", params={"lr": "auto"}, metrics={"acc": 0.5, "lr": 7.0})
    tag(made.runs / "r1", {"team": "vision"})
    trial = Trial(
        id="t1",
        stage="train",
        kernel="k",
        source="%%stage train\nfit()",
        started=time.time(),
        seconds=1.0,
        status="failed",
        error=TrialError(ename="ValueError", evalue="no data"),
        params={"lr": 0.5},
    )
    (made.state / "trials").mkdir()
    (made.state / "trials" / "t1.json").write_bytes(msgspec.json.encode(trial))
    (made.state / "trials" / "t2.json").write_bytes(b"")
    return made


def found(project: Project, **question: Any) -> list[str]:
    return [row.run for row in search(project, Query(**question)).rows]


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        ("acc > 0.9", ["r2"]),
        ("acc >= .9 and lr = 0.1", ["r1"]),
        ("lr = 0.01", ["r3", "r2"]),
        ("params.lr = auto", ["r4"]),
        ("lr > 1", ["r4"]),
        ("model = cnn OR model == 'mlp'", ["r2", "r1"]),
        ("model != cnn", ["r3", "r2"]),
        ('model in ("cnn", "mlp")', ["r2", "r1"]),
        ("model in (cnn, mlp)", ["r2", "r1"]),
        ('"net" in model', ["r3"]),
        ('"net" not in model', ["r2", "r1"]),
        ("aug = true", ["r3"]),
        ('metrics["val/acc"] < 1', ["r1"]),
        ("0.5 < acc < 0.95", ["r1"]),
        ("acc - loss > 0.7", ["r2"]),
        ("1 / 2 = 0.5 and acc = 0.5", ["r4"]),
        ("abs(acc - 1) < 0.06", ["r2"]),
        ("not acc > 0.9", ["r4", "r1"]),
        ("status = failed", ["r3"]),
        ("tags.team = vision", ["r1"]),
        ("user = ada and commit = abc123def", ["r2"]),
        ("params.acc > 0", []),
    ],
)
def test_a_condition_finds_the_rows_that_meet_it(project: Project, condition: str, runs: list[str]) -> None:
    assert found(project, where=(condition,)) == runs


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "acc",
        "acc >",
        "acc > 0.9; DROP TABLE rows",
        "__import__('os').system('true') = 0",
        "acc.real > 1",
        "acc > (lambda: 1)()",
        "acc is 1",
        "[x for x in rows] = 1",
        "acc > '0' + 1",
        "acc > 1e999",
        "a" * 2000 + " > 1",
        "(" * 500 + "1" + ")" * 500 + " > 1",
        "acc > f'{1}'",
        "acc in ()",
        "acc > \x00",
    ],
)
def test_what_is_no_condition_is_refused_and_never_executed(project: Project, condition: str) -> None:
    with pytest.raises(UsageError) as caught:
        found(project, where=(condition,))
    assert caught.value.fix or "characters" in caught.value.message


def test_names_and_texts_that_look_like_sql_are_only_names_and_texts(project: Project) -> None:
    for hostile in ("x' OR '1'='1", "x; DROP TABLE rows --", 'x" OR 1=1 --', "')"):
        assert found(project, text=hostile) == []
        assert found(project, notebook=hostile) == []
        assert found(project, tags={hostile: hostile}) == []
        assert found(project, where=(f"model = {hostile!r}",)) == []
        assert len(found(project, sort=hostile)) == 4
    assert len(found(project)) == 4


def test_words_of_free_text_have_to_stand_in_the_row_in_any_case(project: Project) -> None:
    assert found(project, text="RESNET") == ["r3"]
    assert found(project, text="lr=0.01 mlp") == ["r2"]
    assert found(project, text="boom") == ["r3"]
    assert found(project, text="vision") == ["r1"]
    assert found(project, text="cnn mlp") == []


def test_runs_are_found_by_status_time_commit_and_tag(project: Project) -> None:
    assert found(project, statuses=("failed", "rejected")) == ["r3"]
    assert found(project, commit="ABC1") == ["r2"]
    assert found(project, tags={"team": "vision"}) == ["r1"]
    assert found(project, tags={"team": ""}) == ["r1"]
    started = {row.run: row.started for row in search(project).rows}
    assert found(project, since=started["r2"], until=started["r4"]) == ["r3", "r2"]


@pytest.mark.parametrize(
    ("column", "descending", "runs"),
    [
        ("acc", True, ["r2", "r1", "r4", "r3"]),
        ("metrics.acc", False, ["r4", "r1", "r2", "r3"]),
        ("params.model", False, ["r1", "r2", "r3", "r4"]),
        ("params.lr", False, ["r3", "r2", "r1", "r4"]),
        ("run", False, ["r1", "r2", "r3", "r4"]),
        ("pipeline", True, ["r4", "r3", "r2", "r1"]),
        ("tags.team", True, ["r1", "r4", "r3", "r2"]),
        ("nothing", True, ["r4", "r3", "r2", "r1"]),
    ],
)
def test_rows_are_sorted_by_any_column_and_those_without_a_value_come_last(
    project: Project, column: str, descending: object, runs: list[str]
) -> None:
    assert found(project, sort=column, descending=descending) == runs


def test_pages_follow_each_other_and_say_how_many_there_are_and_what_columns(project: Project) -> None:
    pages = [search(project, Query(offset=offset, limit=3)) for offset in (0, 3, 6)]
    assert [[row.run for row in page.rows] for page in pages] == [["r4", "r3", "r2"], ["r1"], []]
    assert {page.total for page in pages} == {4}
    assert pages[0].metrics == ("acc", "loss", "lr", "val/acc")
    assert pages[0].params == ("aug", "big", "lr", "model")
    assert pages[0].tags == ("team",)


def test_a_name_that_no_row_has_is_said(project: Project) -> None:
    assert search(project, Query(where=("accc > 1", "lr < 1"), sort="params.nope")).unknown == ("accc", "params.nope")


def test_trials_are_rows_of_their_own_kind(project: Project) -> None:
    (row,) = search(project, Query(kinds=("trial",))).rows
    assert (row.run, row.kind, row.stage, row.status, row.finished) == ("t1", "trial", "train", "failed", True)
    assert row.failure is not None
    assert row.failure.message == "ValueError: no data"
    assert found(project, kinds=("run", "trial"), where=("lr >= 0.1",)) == ["t1", "r4", "r1"]


def test_a_page_becomes_a_frame_with_a_column_per_name(project: Project) -> None:
    frame = search(project, Query(limit=None)).dataframe().set_index("run")
    assert frame.loc["r2", "metrics.acc"] == 0.95
    assert frame["metrics.loss"].isna().sum() == 3
    assert list(frame.loc[["r1", "r4"], "params.lr"]) == [0.1, "auto"]
    assert frame.loc["r1", "tags.team"] == "vision"
    assert str(frame["started"].dtype).startswith("datetime64")
    assert len(search(project, Query(text="nothing like it")).dataframe()) == 0


def test_a_tag_is_set_changed_and_taken_away_and_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBPIPE_TRACKING", "off")
    project = Project(tmp_path)
    folder = project.runs / write_run(project)
    tag(folder, {"team": "vision", "good": "yes"})
    assert found(project, tags={"team": "vision"}) == ["r1"]
    tag(folder, {"team": "audio", "good": ""})
    assert found(project, tags={"team": "vision"}) == []
    assert read_notes(folder).shown == {"team": "audio"}
    for name in ("", "a b", "../x", "a=b", "9x", "mlflow.user", "nbpipe.kind"):
        with pytest.raises(UsageError):
            tag(folder, {name: "x"})
    (folder / "notes.json").write_text("rubbish")
    assert read_notes(folder).tags == {}
