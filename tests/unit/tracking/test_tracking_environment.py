"""What is recorded of the place a run was made in."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from nbpipe.tracking.environment import record


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments],
        check=True,
        capture_output=True,
    )


def test_the_commit_and_what_was_changed_since_are_recorded(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "a.txt").write_text("one\n")
    git(tmp_path, "add", "a.txt")
    git(tmp_path, "commit", "-q", "-m", "first")
    clean = record(tmp_path, {})["git"]
    (tmp_path / "a.txt").write_text("two\n")
    dirty = record(tmp_path, {})["git"]
    assert clean["branch"] == "trunk"
    assert len(clean["commit"]) == 40
    assert not clean["dirty"]
    assert dirty["dirty"]
    assert "+two" in dirty["diff"]


def test_a_folder_without_git_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = record(tmp_path, {"b": "2", "a": "1"})
    assert "git" not in found
    assert list(found["packages"]) == ["a", "b"]


def test_no_environment_variable_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "s3cr3t-value")
    assert "s3cr3t-value" not in json.dumps(record(tmp_path, {}))


def test_without_a_list_all_installed_packages_are_named(tmp_path: Path) -> None:
    assert "pytest" in record(tmp_path)["packages"]
