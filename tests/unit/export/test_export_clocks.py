"""Schedulers that are only a clock: what they are told is when cron would run, and what they start is the whole pipeline."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import nbformat
import pytest
import yaml  # type: ignore[import-untyped]

from nbpipe.errors import ParameterError, UnsupportedError, UsageError
from nbpipe.export.api import deployment_of
from nbpipe.export.base import Deployment
from nbpipe.export.registry import exporter
from nbpipe.export.systemd import calendar
from nbpipe.model import Options, Param, Pipeline, Stage
from nbpipe.notebook.reader import read_notebook

CALENDARS = {
    "0 6 * * *": ("*-*-* 6:0:00",),
    "*/15 0-6,12 * * *": ("*-*-* 0..6,12:0/15:00",),
    "0 0 */2 1-12/3 *": ("*-1..12/3-1/2 0:0:00",),
    "30 4 * * 1-5": ("Mon,Tue,Wed,Thu,Fri *-*-* 4:30:00",),
    "30 4 * * 5-7": ("Sun,Fri,Sat *-*-* 4:30:00",),
    "0 0 */2 * 1": ("Mon *-*-1/2 0:0:00",),
    "0 0 1 * */2": ("Sun,Tue,Thu,Sat *-*-1 0:0:00",),
    "0 0 1 * 1": ("*-*-1 0:0:00", "Mon *-*-* 0:0:00"),
}


def deployment(*stages: Stage, schedule: str | None = None, image: str | None = None, folder: str = "x") -> Deployment:
    stages = stages or (Stage(name="one", kind="stage", cells=()),)
    params = (
        Param(name="lr", type="float", default=0.1, help="rate"),
        Param(name="name", type="str", default="5"),
        Param(name="deep", type="bool", default=True),
        Param(name="model", type="choice", default="cnn", choices=("cnn", "mlp")),
        Param(name="sizes", type="list", default=[1, 2]),
        Param(name="path", type="str", required=True),
    )
    return Deployment(
        pipeline=Pipeline(name="My Digits", version="0" * 64, stages=stages, params=params, python="3.11"),
        order={stage.name: () for stage in stages},
        params=params,
        schedule=schedule,
        image=image,
        store="s3://bucket/x",
        folder=folder,
    )


@pytest.mark.parametrize("cron", CALENDARS)
def test_a_calendar_event_is_when_cron_would_run(cron: str) -> None:
    assert calendar(cron) == CALENDARS[cron]
    if shutil.which("systemd-analyze"):
        for text in calendar(cron):
            subprocess.run(["systemd-analyze", "calendar", text], check=True, capture_output=True)


@pytest.mark.parametrize("name", ["cron", "systemd"])
def test_a_clock_needs_a_schedule(name: str) -> None:
    with pytest.raises(UsageError, match="needs a schedule"):
        exporter(name).definition(deployment())


def test_the_inputs_of_a_workflow_have_the_types_that_github_knows() -> None:
    found = exporter("github-actions").definition(deployment(schedule="0 6 * * *"))
    workflow = yaml.load(found.files[found.main], Loader=yaml.BaseLoader)  # noqa: S506 - where `on` is a text
    inputs = workflow["on"]["workflow_dispatch"]["inputs"]
    assert {name: (each["type"], each.get("default")) for name, each in inputs.items()} == {
        "lr": ("string", "0.1"),
        "name": ("string", "5"),
        "deep": ("boolean", "true"),
        "model": ("choice", "cnn"),
        "sizes": ("string", "[1, 2]"),
        "path": ("string", None),
    }
    assert (inputs["path"]["required"], inputs["lr"]["description"]) == ("true", "rate")
    assert workflow["on"]["schedule"] == [{"cron": "0 6 * * *"}]
    with pytest.raises(UnsupportedError, match="outside the project"):
        exporter("github-actions").definition(deployment(folder="/elsewhere"))


def test_a_stage_of_argo_has_its_resources_retries_and_image() -> None:
    options = Options(cpus=0.5, memory=2**30, gpus=1.0, retries=2, timeout=90.0, image="own:1")
    stages = (
        Stage(name="fit_model", kind="stage", cells=(), options=options),
        Stage(name="fit-model", kind="check", cells=()),
    )
    found = exporter("argo").definition(deployment(*stages, schedule="0 6 * * *", image="all:1"))
    template, clock = yaml.safe_load_all(found.files["workflow.yaml"])
    first, second, record = template["spec"]["templates"][1:]
    assert [each["name"] for each in (first, second, record)] == ["fit-model", "fit-model-2", "record-run"]
    assert [each["container"]["image"] for each in (first, second, record)] == ["own:1", "all:1", "all:1"]
    assert first["container"]["resources"]["limits"] == {"cpu": "0.5", "memory": str(2**30), "nvidia.com/gpu": "1"}
    assert (first["activeDeadlineSeconds"], first["retryStrategy"]["limit"]) == (150, "2")
    assert "retryStrategy" not in second
    assert first["container"]["command"][3:5] == ["/nbpipe", "fit_model"]
    assert template["spec"]["onExit"] == "record-run"
    arguments = {each["name"]: each.get("value") for each in template["spec"]["arguments"]["parameters"]}
    assert arguments == {"lr": "0.1", "name": "5", "deep": "true", "model": "cnn", "sizes": "[1, 2]", "path": None}
    assert clock["spec"]["schedules"] == ["0 6 * * *"]
    assert clock["spec"]["workflowSpec"]["workflowTemplateRef"]["name"] == template["metadata"]["name"]


def test_argo_takes_whole_gpus_and_no_text_that_it_would_replace() -> None:
    half = Stage(name="one", kind="stage", cells=(), options=Options(gpus=0.5))
    with pytest.raises(UnsupportedError, match="a pod gets whole GPUs"):
        exporter("argo").definition(deployment(half, image="i"))
    with pytest.raises(UnsupportedError, match="a template of its own") as refused:
        exporter("argo").definition(deployment(image="{{workflow.name}}"))
    assert refused.value.name == "the image"
    with pytest.raises(UsageError, match="there is no image"):
        exporter("argo").definition(deployment())


@pytest.mark.parametrize("given", [{"folder": "exports/${{ secrets.TOKEN }}"}, {"image": "${{ github.token }}"}])
def test_a_text_that_github_would_evaluate_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(UnsupportedError, match="expression of its own"):
        exporter("github-actions").definition(deployment(**given))


@pytest.mark.parametrize("name", ["cron", "systemd"])
def test_a_run_is_given_its_date_unless_the_command_names_another(name: str, tmp_path: Path) -> None:
    given = msgspec.structs.replace(deployment(schedule="0 0 * * *"), logical_date="path")
    script = tmp_path / "run.sh"
    script.write_text(exporter(name).definition(given).files["run.sh"])
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "NBPIPE_PYTHON": str(python)}
    words = ["sh", str(script), "--param", "path=mine"]
    said = subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout.splitlines()
    at = said.index("--param")
    assert re.fullmatch(r"path=\d{4}-\d\d-\d\d", said[at + 1])
    assert said[at + 2 :] == ["--param", "path=mine"]


def test_a_scheduler_that_knows_no_date_refuses_the_parameter_for_it_and_a_number_is_no_date(tmp_path: Path) -> None:
    (tmp_path / "nbpipe.toml").touch()
    cells = ["%%params\nday: str = ''\nn: int = 1", "%%stage one\nx = (day, n)"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell, id=f"c{n}") for n, cell in enumerate(cells)])
    nbformat.write(book, tmp_path / "n.ipynb")
    read = read_notebook(tmp_path / "n.ipynb")
    with pytest.raises(UnsupportedError, match="--logical-date-param day"):
        deployment_of(read, to="dvc", logical_date="day")
    for wrong in ("n", "other"):
        with pytest.raises(ParameterError, match="no parameter of that type"):
            deployment_of(read, to="airflow", logical_date=wrong)
    dag = exporter("airflow").definition(deployment_of(read, to="airflow", logical_date="day")).files["dag.py"]
    assert "DATE = 'day'\nDEFAULT_DATE = ''\n" in dag
