"""`nbpipe history` and `nbpipe tag` as typed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from written import write_run

import nbpipe
from nbpipe.cli.main import run
from nbpipe.errors import UsageError
from nbpipe.run.project import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    (tmp_path / "nbpipe.toml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NBPIPE_TRACKING", "off")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made = Project(tmp_path)
    for n in range(3):
        write_run(made, params={"lr": n / 10, "note": "=cmd()"}, metrics={"loss": 1.0 - n, "acc": n / 10})
    return made


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert run(words) == code
    return capsys.readouterr().out


def ids(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    line: dict[str, Any] = json.loads(said(capsys, "history", *words, "--json"))
    return [row["run"] for row in line["runs"]]


def test_options_narrow_sort_and_page_the_list(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert ids(capsys, "--where", "acc > 0.05", "--where", "lr < 0.15") == ["r2"]
    assert ids(capsys, "--sort", "acc", "--ascending", "-n", "2") == ["r1", "r2"]
    assert ids(capsys, "--offset", "1", "-n", "1") == ["r2"]
    assert ids(capsys, "--since", "1h", "--until", "2099-01-01") == ["r3", "r2", "r1"]
    assert ids(capsys, "--since", "2099-01-01T12:00") == []
    assert ids(capsys, "--search", "lr=0.2", "--status", "succeeded", "--status", "failed") == ["r3"]
    assert "--since 'soon' is not a time" in _error(capsys, "history", "--since", "soon")


def _error(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(words) == 2
    return capsys.readouterr().err


def test_people_see_the_sorted_metric_first_how_many_more_there_are_and_names_that_nobody_has(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, "history", "--sort", "acc", "-n", "1")
    assert "acc 0.2  loss -1" in out
    assert "2 more: nbpipe history --all" in out
    assert run(["history", "--where", "accc > 1"]) == 0
    told = capsys.readouterr()
    assert (told.out, "no run has accc" in told.err) == ("no such runs\n", True)
    assert run(["history", "digts"]) == 0
    told = capsys.readouterr()
    assert (told.out, told.err) == ("no such runs\n", "there are runs of digits\n")


def test_tags_are_noted_shown_and_searched(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert "r2 team=vision" in said(capsys, "tag", "r2", "team=vision")
    assert ids(capsys, "--tag", "team=vision") == ["r2"]
    assert ids(capsys, "--tag", "team") == ["r2"]
    assert "team=vision" in said(capsys, "history")
    assert "has no tags" in said(capsys, "tag", "r2", "team=")
    assert "does not say NAME=VALUE" in _error(capsys, "tag", "r2", "team")


def test_a_table_for_spreadsheets_has_every_run_and_computes_nothing(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "history", "--csv", "runs.csv")
    rows = list(csv.DictReader(io.StringIO((project.root / "runs.csv").read_text())))
    assert [(row["run"], row["metrics.loss"], row["params.note"]) for row in rows[:1]] == [("r3", "-1.0", "'=cmd()")]
    assert list(csv.DictReader(io.StringIO(said(capsys, "history", "--csv", "-")))) == rows


def test_python_asks_the_same(project: Project) -> None:
    page = nbpipe.search("acc > 0.05", sort="acc", limit=1)
    assert ([row.run for row in page.rows], page.total) == (["r3"], 2)
    assert list(nbpipe.search(limit=None).dataframe()["metrics.acc"]) == [0.2, 0.1, 0.0]
    with pytest.raises(UsageError, match="no question about 'sorted'"):
        nbpipe.search(sorted="acc")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("tag", "r1", "x"), "'x' does not say NAME=VALUE"),
        (("history", "--csv", "-", "--json"), "both write to standard output"),
        (("reproduce", "r1", "--tolerance", "inf"), "--tolerance"),
        (("reproduce", "r1", "--tolerance", "nan"), "--tolerance"),
    ],
)
def test_what_makes_no_sense_is_refused(
    project: Project, words: tuple[str, ...], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    told = capsys.readouterr()
    assert part in told.out + told.err
    assert "-p" not in told.err
