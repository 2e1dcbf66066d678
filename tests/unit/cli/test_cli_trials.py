"""`nbpipe trials`: lists, shows one, prints its code; what it prints moves no cursor."""

from __future__ import annotations

import json
import time
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from nbpipe.cli.trials import command
from nbpipe.errors import UsageError
from nbpipe.tracking.trial import Seen, Trial, TrialError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "nbpipe.toml").touch()
    folder = tmp_path / ".nbpipe" / "trials"
    folder.mkdir(parents=True)
    good = Trial(
        id="t1",
        stage="train",
        kernel="k",
        source="%%stage train\nx = '\x1b[31mred'",
        started=time.time() - 7200,
        seconds=2.5,
        status="succeeded",
        params={"lr": 0.1},
        inputs={"df": Seen(type="pandas.DataFrame", shape=(3, 2))},
        metrics={"acc": 0.9},
        packages={"numpy": "2.0"},
    )
    error = TrialError(ename="ValueError", evalue="\x1b[2Jgone", line=4)
    bad = msgspec.structs.replace(good, id="t2", stage="load", status="failed", error=error, metrics={})
    for trial in (good, bad):
        (folder / f"{trial.id}.json").write_bytes(msgspec.json.encode(trial))
    monkeypatch.chdir(tmp_path)
    return folder


def said(*words: str) -> str:
    done = CliRunner().invoke(command, list(words), catch_exceptions=False, standalone_mode=False)
    return done.output


def test_the_newest_stands_on_top_with_what_it_had_and_gave(folder: Path) -> None:
    first, second = said().splitlines()
    assert first.split()[:2] == ["t2", "load"]
    assert "line 4: ValueError: gone" in first
    assert second.split()[:2] == ["t1", "train"]
    assert "2 h ago" in second
    assert "lr=0.1" in second
    assert said("--stage", "train").count("\n") == 1
    assert said("--status", "rejected") == "no such trials\n"
    assert said("-n", "1").count("\n") == 1


def test_one_trial_shows_what_it_read_and_its_code(folder: Path) -> None:
    text = said("t1")
    assert "df  pandas.DataFrame  3x2  not digested" in text
    assert "%%stage train" in text
    assert said("t1", "--code") == "%%stage train\nx = '\x1b[31mred'\n"
    with pytest.raises(UsageError):
        said("--code")


def test_json_has_every_field(folder: Path) -> None:
    listed = json.loads(said("--json"))
    assert listed["schema"] == 1
    assert [item["id"] for item in listed["trials"]] == ["t2", "t1"]
    one = json.loads(said("t1", "--json"))
    assert set(one) == set(Trial.__struct_fields__)
    assert one["inputs"]["df"]["shape"] == [3, 2]


def test_a_project_without_trials_says_how_one_comes_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no trials yet" in said()
