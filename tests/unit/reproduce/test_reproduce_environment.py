"""Packages of then: what differs is said, and uv builds an environment that has them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
from runs import Site

from nbpipe.errors import UnsupportedError
from nbpipe.reproduce import environment
from nbpipe.reproduce.environment import Environment, built, differences, environment_of

OLD = "2.0.0"
NOW = metadata.version("iniconfig")


def uv_cache() -> str:
    """Where uv keeps what it has fetched: not in the cache folder that a test has of its own."""
    found = subprocess.run([environment._uv(), "cache", "dir"], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def test_what_is_not_the_same_here_is_said_and_patches_and_local_labels_are() -> None:
    minor = ".".join(platform.python_version().split(".")[:2])
    same = Environment(python=f"{minor}.99", packages={"iniconfig": f"{NOW}+local"})
    assert differences(same) == []
    other = Environment(python="2.7.1", packages={"iniconfig": OLD, "no-such-package": "1"})
    assert differences(other) == [
        f"Python 2.7.1 → {platform.python_version()}",
        f"iniconfig {OLD} → {NOW}",
        "no-such-package 1 → not installed",
    ]


def test_a_run_without_a_record_of_its_environment_has_its_bundles_requirements(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "requirements.txt").write_text("a==1\nb==2.0\nnbpipe==0.0.9\n")
    assert environment_of(tmp_path) == Environment(python="", packages={"a": "1", "b": "2.0"})


def test_without_uv_the_fix_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnsupportedError, match="pip install uv"):
        built(Environment(python="", packages={"iniconfig": OLD}))


@pytest.mark.long
def test_the_packages_of_then_are_installed_once_and_the_run_uses_them(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = uv_cache()
    site.write(
        "%%stage one\nimport iniconfig\nfrom importlib.metadata import version\nv = version('iniconfig')",
        "%%stage two\nprint(v)",
    )
    assert site.run().code == 0
    record = site.folder / ".nbpipe" / "runs" / "r1" / "environment.json"
    facts = json.loads(record.read_text())
    assert facts["packages"] == {"iniconfig": NOW}
    # As if the run had been made where an older version was installed.
    record.write_text(json.dumps({**facts, "packages": {"iniconfig": OLD}}))

    here = site.command("reproduce", "r1", "--json", "--no-env")
    assert (here.code, here.json["verdict"]) == (0, "equal")
    assert here.json["environment"] == {"rebuilt": False, "differences": [f"iniconfig {OLD} → {NOW}"]}

    done = site.command("reproduce", "r1", "--json", UV_CACHE_DIR=cache)
    assert done.json["environment"]["rebuilt"], done.json["obstacles"]
    assert f"building an environment with the packages of r1: iniconfig {OLD}" in done.err
    assert (done.code, done.json["first"]) == (1, "one")
    assert done.json["stages"][0]["items"][0]["detail"] == f"'{NOW}' → '{OLD}'"

    # It is there now: not even uv is asked for it again.
    monkeypatch.setenv("XDG_CACHE_HOME", str(site.root / "cache"))
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr(environment, "_uv", lambda: pytest.fail("uv was asked"))
    python = built(environment_of(record.parent))
    assert python.is_relative_to(site.root / "cache" / "nbpipe" / "environments")
    assert [path.name for path in python.parents[2].iterdir()] == [python.parents[1].name]


@pytest.mark.long
def test_what_cannot_be_installed_is_said_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", uv_cache())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UnsupportedError, match=r"cannot be built.*iniconfig==0\.0\.0") as caught:
        built(Environment(python=platform.python_version(), packages={"iniconfig": "0.0.0"}))
    assert "--no-env" in str(caught.value)
    assert list((tmp_path / "nbpipe" / "environments").iterdir()) == []
