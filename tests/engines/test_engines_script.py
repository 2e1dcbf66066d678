"""Exports as plain Python, executed: with every value of a native run, and in an environment that has no nbpipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import engines
import pytest
from conformance_page import hold, row
from engines import environment_of

pytestmark = [pytest.mark.engines, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("notebook", ["quickstart.ipynb", "digits.ipynb", "weather.ipynb"])
def test_every_value_of_the_example_is_that_of_a_native_run(
    notebook: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    site = engines.made(tmp_path, notebook)
    profile = ["--profile", "smoke"] if notebook == "digits.ipynb" else []
    done = site.call(
        sys.executable, "-m", "nbpipe", "export", notebook, "--to", "script", "--verify", "--json", *profile
    )
    assert done.returncode == 0, done.stdout
    verified = json.loads(done.stdout)["verified"]
    assert verified["equal"], verified
    compared = {each["stage"]: (not each["different"], each["compared"]) for each in verified["stages"]}
    if notebook != "quickstart.ipynb":
        made = row("script", "python", notebook, compared)
        record_property("conformance", made)
        hold(made)


def test_the_package_runs_and_installs_where_there_is_no_nbpipe(tmp_path: Path) -> None:
    site = engines.made(tmp_path, "quickstart.ipynb")
    site.nbpipe("export", "quickstart.ipynb", "--to", "script")
    folder = site.project / "exports" / "quickstart-script"
    listed = [(folder / name).read_text().splitlines() for name in ("requirements.txt", "constraints.txt")]
    own, others = ([line for line in lines if line[:1] not in ("#", "-")] for lines in listed)
    assert own
    # Each of them is to be had, and they suit one another.
    bin_ = environment_of("script", "setuptools>=77", *own, *others)
    dry = ("-m", "uv", "pip", "install", "--dry-run", "-r", folder / "requirements.txt")
    done = site.call(sys.executable, *dry, "--python", bin_ / "python")
    assert (done.returncode, "Would make no changes" in done.stdout) == (0, True), done.stdout
    done = site.call(bin_ / "python", "-m", "quickstart_pipeline", "--sides", "4", cwd=folder, more={"PYTHONPATH": ""})
    assert done.returncode == 0, done.stdout
    assert set(json.loads(done.stdout.splitlines()[-1])) == {"mean"}
    assert site.call(bin_ / "python", "-c", "import nbpipe", cwd=folder, more={"PYTHONPATH": ""}).returncode != 0
    words = (
        "-m",
        "uv",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(tmp_path / "target"),
    )
    done = site.call(sys.executable, *words, "--python", bin_ / "python", folder)
    assert done.returncode == 0, done.stdout
    done = site.call(
        bin_ / "python", "-m", "quickstart_pipeline", cwd=tmp_path, more={"PYTHONPATH": str(tmp_path / "target")}
    )
    assert done.returncode == 0, done.stdout
