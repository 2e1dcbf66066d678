"""Trials are read newest first, chosen by what they are of, and what is no trial is skipped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from nbpipe.errors import UsageError
from nbpipe.history.trials import Ran, Seen, Trial, TrialError, load_trial, trial_folder, trial_ids, trials
from nbpipe.run.project import Project
from nbpipe.tracking.trial import TrialStatus

PAGE = (Path(__file__).parents[3] / "docs" / "formats" / "trial.md").read_text()


def a_trial(ident: str, *, stage: str = "train", status: TrialStatus = "succeeded", kernel: str = "k1") -> Trial:
    return Trial(
        id=ident,
        stage=stage,
        notebook="nb/digits.ipynb",
        kernel=kernel,
        source=f"%%stage {stage}\nx = 1",
        started=1.0,
        seconds=0.5,
        status=status,
        inputs={"n": Seen(type="int", digest="d", value=None)},
    )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    folder = trial_folder(project)
    folder.mkdir(parents=True)
    several = [
        a_trial("t2", stage="load"),
        a_trial("t9", status="failed"),
        a_trial("t10", kernel="k2"),
    ]
    for trial in several:
        (folder / f"{trial.id}.json").write_bytes(msgspec.json.encode(trial))
    return project


def test_the_newest_comes_first_by_number_not_by_text(project: Project) -> None:
    assert trial_ids(project) == ["t10", "t9", "t2"]
    assert [trial.id for trial in trials(project)] == ["t10", "t9", "t2"]
    assert [trial.id for trial in trials(project, limit=2)] == ["t10", "t9"]
    assert trials(project, limit=0) == []


def test_trials_are_chosen_by_stage_status_kernel_and_notebook(project: Project) -> None:
    assert [trial.id for trial in trials(project, stage="load")] == ["t2"]
    assert [trial.id for trial in trials(project, status="failed")] == ["t9"]
    assert [trial.id for trial in trials(project, kernel="k2")] == ["t10"]
    assert len(trials(project, notebook="digits")) == 3
    assert len(trials(project, notebook=project.root / "nb" / "digits.ipynb")) == 3
    assert trials(project, notebook="other") == []


def test_a_trial_comes_back_as_it_was_written(project: Project) -> None:
    assert load_trial(project, "t9") == a_trial("t9", status="failed")
    assert load_trial(project, "latest").id == "t10"


@pytest.mark.parametrize("name", ["t3", "r1", "../t2", "t02", ""])
def test_a_name_that_is_no_trial_is_an_error_that_names_it(project: Project, name: str) -> None:
    with pytest.raises(UsageError) as raised:
        load_trial(project, name)
    assert raised.value.name == name


def test_files_that_are_not_whole_foreign_or_newer_are_skipped(project: Project) -> None:
    folder = trial_folder(project)
    (folder / "t11.json").touch()
    (folder / "t12.json").write_text('{"schema": 1, "id"')
    (folder / "t13.json").write_bytes(msgspec.json.encode({**msgspec.to_builtins(a_trial("t13")), "schema": 2}))
    (folder / "t14.json").write_text("[" * 100_000)
    (folder / "notes.json").write_text("{}")
    assert [trial.id for trial in trials(project)] == ["t10", "t9", "t2"]
    with pytest.raises(UsageError, match="cannot be read"):
        load_trial(project, "t12")


def test_a_project_without_trials_has_none(tmp_path: Path) -> None:
    assert trials(Project(tmp_path)) == []
    with pytest.raises(UsageError, match="no trials yet"):
        load_trial(Project(tmp_path), "latest")


@pytest.mark.parametrize("struct", [Trial, Seen, Ran, TrialError])
def test_every_field_is_documented(struct: type[msgspec.Struct]) -> None:
    missing = [name for name in struct.__struct_fields__ if not re.search(rf"`{name}`", PAGE)]
    assert missing == []


def test_every_status_is_documented() -> None:
    assert all(f"`{status}`" in PAGE for status in get_args(TrialStatus))
