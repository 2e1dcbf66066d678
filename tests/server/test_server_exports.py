"""A pipeline is written for a scheduler into a folder of the lab, and nowhere else."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from served import *  # noqa: F403 - fixtures
from served import write

from nbpipe.export.registry import exporters


@pytest.fixture
def small(folder: Path) -> Path:
    """A notebook of two stages."""
    write(folder / "n.ipynb", "%%params\nn: int = 1", "%%stage a --retries 2\nx = n", "%%stage b\ny = x")
    return folder


def test_the_lab_is_told_which_schedulers_there_are(ask: Any) -> None:
    told = ask("GET", "exporters")[1]["exporters"]
    assert {each["name"] for each in told} == set(exporters())
    assert {each["proof"] for each in told} <= {"executed", "validated"}
    triggers = {each["name"]: each["triggers"] for each in told}
    assert (triggers["airflow"], triggers["systemd"], triggers["cron"]) == (["file", "dataset"], ["file"], [])
    dated = {each["name"]: each["logical_date"] for each in told}
    assert (dated["airflow"], dated["snakemake"]) == (True, False)


def test_what_starts_a_run_is_told_to_a_scheduler_that_has_it(ask: Any, small: Path) -> None:
    files = {"trigger_files": ["data/*.csv"]}
    asked = {"to": "airflow", **files, "trigger_datasets": ["s3://bucket/orders"]}
    status, answer = ask("POST", "export", path="n.ipynb", **asked)
    assert status == 200
    written = (small / answer["definition"]).read_text()
    assert "Asset('s3://bucket/orders')" in written
    assert "data/*.csv" in written
    for to, given, named in (
        ("cron", files, "--trigger-file"),
        ("systemd", {"trigger_datasets": ["s3://bucket/orders"]}, "--trigger-dataset"),
    ):
        status, answer = ask("POST", "export", path="n.ipynb", to=to, **given)
        assert (status, answer["code"]) == (422, "unsupported")
        assert named in answer["message"]


@pytest.mark.parametrize(
    "given",
    [
        {"trigger_files": ["../../etc/passwd"]},
        {"trigger_files": ["/etc/passwd"]},
        {"trigger_files": ["a\nb"]},
        {"trigger_files": "data.csv"},
        {"trigger_files": [3]},
        {"trigger_files": ["a"] * 10_000},
        {"trigger_datasets": ["s3://me:secret@bucket/x"]},
        {"trigger_datasets": ["x'; import os"]},
    ],
)
def test_what_is_no_trigger_is_refused_and_nothing_is_written(ask: Any, small: Path, given: dict[str, Any]) -> None:
    status, answer = ask("POST", "export", path="n.ipynb", to="airflow", **given)
    assert (status, answer["code"]) == (400, "usage")
    assert "secret" not in str(answer)
    assert not (small / "exports").exists()


def test_an_export_is_written_beside_the_notebook_and_shows_what_changed(ask: Any, small: Path) -> None:
    status, first = ask("POST", "export", path="n.ipynb", to="airflow")
    assert (status, first["folder"], first["definition"]) == (200, "exports/n-airflow", "exports/n-airflow/dag.py")
    assert {change["status"] for change in first["changed"]} == {"new"}
    assert all((small / file).is_file() for file in first["files"])
    ast.parse((small / first["definition"]).read_text())
    second = ask("POST", "export", path="n.ipynb", to="airflow")[1]
    assert {change["status"] for change in second["changed"]} == {"same"}
    third = ask("POST", "export", path="n.ipynb", to="airflow", params={"n": 5}, schedule="@daily")[1]
    changed = {change["path"]: change["diff"] for change in third["changed"] if change["status"] == "changed"}
    assert "+    schedule='0 0 * * *'," in changed["dag.py"]


def test_a_profile_gives_the_values_that_the_scheduler_starts_with(ask: Any, folder: Path) -> None:
    write(folder / "n.ipynb", "%%params\nn: int = 1", "%%params smoke\nn = 7123", "%%stage a\nx = n")
    assert ask("POST", "pipeline", path="n.ipynb")[1]["profiles"] == {"smoke": {"n": 7123}}
    for profile, value in ((None, 1), ("smoke", 7123)):
        answer = ask("POST", "export", path="n.ipynb", to="airflow", **({"profile": profile} if profile else {}))[1]
        assert f"Param({value}," in (folder / answer["definition"]).read_text()
    status, answer = ask("POST", "export", path="n.ipynb", to="airflow", profile="fast")
    assert (status, answer["code"]) == (400, "parameter")
    assert "smoke" in answer["fix"]


def test_what_is_exported_is_the_notebook_as_it_stands_in_the_editor(ask: Any, small: Path) -> None:
    import nbformat

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("%%stage only\nx = 1")])
    answer = ask("POST", "export", path="n.ipynb", to="airflow", content=book)[1]
    assert [path for path in answer["files"] if "/stages/" in path] == ["exports/n-airflow/bundle/stages/only.ipynb"]


def test_each_run_gets_its_date_and_computes_everything_where_that_is_asked_for(ask: Any, folder: Path) -> None:
    write(folder / "n.ipynb", '%%params\nday: str = ""', "%%stage a\nx = day")
    plain = ask("POST", "export", path="n.ipynb", to="airflow")[1]
    assert "DATE = None" in (folder / plain["definition"]).read_text()
    assert not any("--fresh" in note for note in plain["notes"])
    status, answer = ask("POST", "export", path="n.ipynb", logical_date="day", to="airflow", fresh=True)
    assert status == 200
    assert "DATE = 'day'" in (folder / answer["definition"]).read_text()
    assert any("--fresh" in note for note in answer["notes"])
    for to, name, named in (("airflow", "month", "month"), ("snakemake", "day", "--logical-date-param")):
        status, answer = ask("POST", "export", path="n.ipynb", logical_date=name, to=to)
        assert status in (400, 422)
        assert named in answer["message"]


def test_an_edited_file_is_not_written_over(ask: Any, small: Path) -> None:
    ask("POST", "export", path="n.ipynb", to="airflow")
    mine = small / "exports/n-airflow/dag.py"
    mine.write_text("# mine")
    status, answer = ask("POST", "export", path="n.ipynb", to="airflow")
    assert (status, answer["code"]) == (400, "usage")
    assert "was edited" in answer["message"]
    assert "--force" in answer["fix"]
    assert mine.read_text() == "# mine"
    assert ask("POST", "export", path="n.ipynb", to="airflow", force=True)[0] == 200


@pytest.mark.parametrize("out", ["../outside", ".hidden/x", "a/../../x", "link/x", "n.ipynb", "\0"])
def test_no_folder_outside_the_lab_is_written_to(ask: Any, small: Path, tmp_path: Path, out: str) -> None:
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (small / "link").symlink_to(outside)
    status, _ = ask("POST", "export", path="n.ipynb", to="airflow", out=out)
    assert status in (400, 404)
    assert list(outside.iterdir()) == []


def test_what_cannot_be_expressed_is_refused_with_the_stage(ask: Any, small: Path) -> None:
    write(small / "g.ipynb", "%%stage train --gpus 1\nx = 1")
    status, answer = ask("POST", "export", path="g.ipynb", to="airflow")
    assert (status, answer["code"]) == (422, "unsupported")
    assert answer["message"] == "stage 'train', cell 1: Airflow 3 cannot express --gpus 1"
    assert answer["fix"]
    assert not (small / "exports").exists()


def test_an_unknown_scheduler_is_named(ask: Any, small: Path) -> None:
    status, answer = ask("POST", "export", path="n.ipynb", to="nosuch")
    assert (status, answer["code"]) == (400, "usage")
    assert "nosuch" in answer["message"]
