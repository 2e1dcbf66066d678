"""Distributions behind imported modules: found by their listings, remembered until the packages change."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from nbpipe.pipeline import providers as module
from nbpipe.pipeline.environment import provided, python_minor
from nbpipe.pipeline.providers import providers


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    module._look_up.cache_clear()
    return tmp_path / "cache" / "nbpipe" / "providers"


def packages(tmp_path: Path, name: str = "My_Dist", number: str = "1.0") -> Path:
    """A folder of packages that is not young any more."""
    place = tmp_path / "packages"
    (place / "mine").mkdir(parents=True, exist_ok=True)
    info = place / f"{name}-{number}.dist-info"
    info.mkdir()
    (info / "RECORD").write_text("mine/__init__.py,,\nmine/deep.py,,\n")
    old = time.time() - 3600
    os.utime(place, (old, old))
    return place


def test_a_module_is_traced_to_the_distribution_that_installs_it_and_its_version() -> None:
    versions, by_module = provided({"numpy", "yaml", "os", "sys", "no_such_module"})
    assert versions["numpy"] == version("numpy")
    assert by_module == {"numpy": ("numpy",), "yaml": ("pyyaml",)}
    assert python_minor() == ".".join(map(str, sys.version_info[:2]))


def test_what_was_found_is_remembered(tmp_path: Path, cache: Path) -> None:
    place = packages(tmp_path)
    assert providers({"mine", "other"}, (str(place),)) == {"mine": (("my-dist", "1.0"),), "other": ()}
    (known,) = cache.iterdir()
    known.write_text('{"mine": [["remembered", "9"]]}')
    module._look_up.cache_clear()
    assert providers({"mine"}, (str(place),)) == {"mine": (("remembered", "9"),)}
    known.write_text("{broken")
    assert providers({"mine"}, (str(place),)) == {"mine": (("my-dist", "1.0"),)}


def test_an_upgrade_is_seen(tmp_path: Path) -> None:
    place = packages(tmp_path)
    assert providers({"mine"}, (str(place),))["mine"] == (("my-dist", "1.0"),)
    (place / "My_Dist-1.0.dist-info" / "RECORD").unlink()
    (place / "My_Dist-1.0.dist-info").rmdir()
    packages(tmp_path, number="2.0")
    os.utime(place, (1, 1))
    assert providers({"mine"}, (str(place),))["mine"] == (("my-dist", "2.0"),)


def test_packages_that_changed_just_now_are_not_remembered(tmp_path: Path, cache: Path) -> None:
    place = packages(tmp_path)
    place.touch()
    assert providers({"mine"}, (str(place),))["mine"]
    assert not cache.exists()


def test_without_a_place_to_remember_it_still_works(tmp_path: Path, cache: Path) -> None:
    cache.parent.parent.write_text("a file is in the way")
    assert providers({"mine"}, (str(packages(tmp_path)),))["mine"] == (("my-dist", "1.0"),)


def test_a_run_with_nothing_to_do_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "nbpipe.toml").touch()
    notebook = tmp_path / "n.ipynb"
    notebook.write_text(
        '{"cells": [{"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": null,'
        ' "source": "%%stage one\\nimport json\\nx = json.loads(\'1\')"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    )
    code = (
        "import sys\nfrom nbpipe.cli.main import run\n"
        f"code = run(['run', {str(notebook)!r}])\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), [n for n in sys.modules if n.startswith('nbpipe.')])"
        "\nsys.exit(code)"
    )
    environment = os.environ | {"NBPIPE_TRACKING": "off"}
    for _ in range(2):
        argv = [sys.executable, "-c", code]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("up to date (r1)")
    loaded = done.stdout.splitlines()[-1]
    heavy = {"mlflow", "papermill", "nbformat", "nbclient", "jupyter_client", "pandas", "numpy", "pyarrow", "IPython"}
    heavy |= {"torch", "rich", "pydantic", "jsonschema", "asyncio", "subprocess", "difflib"}
    assert [name for name in sorted(heavy) if f"'{name}'" in loaded] == []
    own = ("nbpipe.run.engine", "nbpipe.run.drive", "nbpipe.run.recovery", "nbpipe.executors.local", "nbpipe.job.files")
    assert [name for name in own if f"'{name}'" in loaded] == []
