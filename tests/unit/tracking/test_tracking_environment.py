"""What is recorded of the place a run was made in."""

from __future__ import annotations

import json
import os
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


def test_the_gpu_its_driver_and_the_cuda_libraries_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho 'NVIDIA H200, 570.86.15, 143771 MiB'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    for name, version in (("nvidia_cuda_runtime_cu12", "12.8.90"), ("nvidia_cudnn_cu12", "9.10.2.21")):
        about = tmp_path / "site" / f"{name}-{version}.dist-info" / "METADATA"
        about.parent.mkdir(parents=True)
        about.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    found = record(tmp_path, {})
    assert found["gpus"] == [{"name": "NVIDIA H200", "driver": "570.86.15", "memory": "143771 MiB"}]
    assert (found["cuda"], found["cudnn"]) == ("12.8.90", "9.10.2.21")
