"""What the front-end asks is answered from the history, or refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from histories import past_runs

from nbpipe.history.search import Query
from nbpipe.run.project import Project
from nbpipe.ui.answers import PAGE, RUNS, Answers
from nbpipe.ui.rows import LONGEST, scalar


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return past_runs(tmp_path_factory.mktemp("answers"), 12)


@pytest.fixture
def answers(project: Project) -> Answers:
    return Answers(project)


def ask(answers: Answers, kind: str, **body: Any) -> dict[str, Any]:
    found = answers.answer({"id": "1", "kind": kind, "body": body})
    assert found is not None
    assert found["id"] == "1"
    # What travels is JSON, with no NaN in it.
    json.dumps(found, allow_nan=False)
    return found


def test_a_page_has_rows_and_the_columns_there_are(answers: Answers) -> None:
    page = ask(answers, "page", offset=2, limit=3)["ok"]
    assert [row["run"] for row in page["rows"]] == ["r10", "r9", "r8"]
    assert (page["total"], page["offset"], page["schema"]) == (12, 2, 1)
    assert (page["metrics"], page["params"]) == (["acc", "loss"], ["lr", "model"])
    assert page["rows"][0]["params"] == {"lr": 0.01, "model": "mlp"}
    assert page["rows"][0]["given"] == ["lr"]


def test_a_page_is_bounded_whatever_is_asked(answers: Answers) -> None:
    assert len(ask(answers, "page", limit=None)["ok"]["rows"]) == min(PAGE, 12)
    assert answers.page(Query(limit=10**9)).total == 12
    assert len(ask(answers, "rows", runs=["r1"] * 1000)["ok"]) == RUNS


def test_rows_come_in_the_order_in_which_they_were_asked_for(answers: Answers) -> None:
    rows = ask(answers, "rows", runs=["r3", "r999", 'r1" or 1=1', "r12"])["ok"]
    assert [row["run"] for row in rows] == ["r3", "r12"]


def test_a_run_is_told_stage_by_stage(answers: Answers) -> None:
    view = ask(answers, "progress", run="r7")["ok"]
    assert view["row"]["status"] == "failed"
    assert [(stage["name"], stage["status"]) for stage in view["stages"]] == [
        ("load", "succeeded"),
        ("train", "failed"),
    ]
    assert view["stages"][1]["failure"] == "ValueError: no"


def test_a_diff_is_the_documented_format(answers: Answers) -> None:
    diff = ask(answers, "diff", a="r1", b="r3", parts=["params"], everything=False)["ok"]
    assert (diff["a"]["label"], diff["b"]["label"], diff["parts"]) == ("r1", "r3", ["params"])
    assert [(item["name"], item["a"]["value"], item["b"]["value"]) for item in diff["params"]] == [("lr", 0.001, 0.003)]


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("page", {"where": ["acc >"]}, "acc >"),
        ("page", {"limit": "many"}, "not a question"),
        ("page", {"offset": -1}, "page starts at 0"),
        ("progress", {"run": "r999"}, "no run r999"),
        ("progress", {"run": "../../etc"}, "is not a run"),
        ("diff", {"a": "r1", "b": "/etc/passwd.ipynb", "parts": ["code"]}, "is not a run"),
        ("diff", {"a": "r1", "b": "r2", "parts": ["secrets"]}, "not a question"),
        ("curves", {"runs": "r1"}, "not a question"),
    ],
)
def test_what_cannot_be_answered_says_why(answers: Answers, kind: str, body: dict[str, Any], said: str) -> None:
    assert said in ask(answers, kind, **body)["error"]["message"]


def test_only_a_path_that_python_named_is_read_for_a_diff(project: Project) -> None:
    answers = Answers(project, sides=("nowhere.ipynb",))
    refused = ask(answers, "diff", a="r1", b="nowhere.ipynb", parts=["code"])["error"]
    assert "is not a run" not in refused["message"]


@pytest.mark.parametrize("content", [None, "x", {}, {"id": "1", "kind": "nothing"}, {"kind": "open"}, {"id": 1}])
def test_other_messages_have_no_answer(answers: Answers, content: object) -> None:
    assert answers.answer(content) is None


def test_values_are_cut_to_what_a_row_should_carry() -> None:
    assert [scalar(value) for value in (True, None, 1.5)] == [True, None, 1.5]
    assert scalar(2**60) == str(2**60)
    assert scalar([1, {"a": 2}]) == '[1, {"a": 2}]'
    assert scalar(float("nan")) == "NaN"
    assert len(str(scalar("x" * 10_000_000))) == LONGEST


def test_points_of_a_metric_come_from_the_jobs_that_logged_them(tmp_path: Path) -> None:
    project = past_runs(tmp_path, 2)
    metrics = project.runs / "r2/jobs/train.1/mlflow/1" / ("0" * 32)
    (metrics / "metrics").mkdir(parents=True)
    (metrics / "artifacts").mkdir()
    (metrics / "meta.yaml").write_text("{}")
    (metrics / "metrics/loss").write_text("".join(f"{n} {1 / (n + 1)} {n}\n" for n in range(500)))
    found = ask(Answers(project), "curves", runs=["r1", "r2", "r9", "t1"], metric="loss")["ok"]
    assert list(found) == ["r2"]
    assert found["r2"][0] == [0, 1.0]
    assert len(found["r2"]) <= 60
