"""The widgets from Python: what they are asked, and what they stand as where nothing shows them."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from histories import past_runs

import nbpipe
from nbpipe.errors import UnsupportedError, UsageError
from nbpipe.run.project import Project
from nbpipe.ui import bundle

built = pytest.mark.skipif(not bundle.is_built(), reason="run `make widget` first")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return past_runs(tmp_path_factory.mktemp("widget"), 40)


def test_without_the_built_front_end_it_says_how_to_build_it(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "SCRIPT", tmp_path / "nowhere.js")
    with pytest.raises(UnsupportedError) as caught:
        nbpipe.history(project=project.root)
    assert "make widget" in str(caught.value)


@built
def test_runs_are_those_that_the_table_finds_on_all_pages(project: Project) -> None:
    view = nbpipe.history("mlp", project=project.root)
    assert list(view.runs["run"])[:2] == ["r40", "r38"]
    assert len(view.runs) == 20
    view.query = {"where": ["acc > 0.8"], "sort": "acc"}
    assert view.runs["metrics.acc"].is_monotonic_decreasing
    view.close()


@built
def test_what_travels_with_the_widget_is_a_few_rows_however_many_there_are(project: Project) -> None:
    view = nbpipe.history(project=project.root)
    assert len(view.snapshot["rows"]) == 30
    assert view.snapshot["total"] == 40
    assert view.selected == []
    view.close()


@built
def test_hosts_that_take_one_bundle_get_the_live_and_the_static_view_in_it(project: Project) -> None:
    data, _ = nbpipe.diff("r1", "r3", project=project.root)._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"} == set(data)
    assert "0.001" in data["text/plain"]


@built
def test_a_diff_has_all_parts_as_data_and_refuses_what_is_not_there(project: Project) -> None:
    found = nbpipe.diff("r1", "r3", project=project.root).diff
    assert [item.name for item in found.params] == ["lr"]
    with pytest.raises(UsageError):
        nbpipe.diff("r1", "r999", project=project.root)
    with pytest.raises(UsageError):
        nbpipe.history(where="acc >", project=project.root)


@built
def test_the_wheel_brings_the_lab_what_was_built_and_the_server_its_extension(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    # What is there is taken as it is: nothing is built, nothing fetched.
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        data = next(name for name in archive.namelist() if "/etc/jupyter/jupyter_server_config.d/" in name)
        assert json.loads(archive.read(data)) == {"ServerApp": {"jpserver_extensions": {"nbpipe": True}}}
        lab = next(
            name for name in archive.namelist() if name.endswith("@nbpipe/labextension/install.json")
        ).removesuffix("install.json")
        for file in (root / "nbpipe" / "_labextension").rglob("*"):
            if file.is_file():
                inside = lab + file.relative_to(root / "nbpipe" / "_labextension").as_posix()
                assert archive.read(inside) == file.read_bytes(), inside
        load = json.loads(archive.read(f"{lab}package.json"))["jupyterlab"]["_build"]["load"]
        assert f"{lab}{load}" in archive.namelist()
        assert archive.read("nbpipe/ui/static/widget.js") == bundle.SCRIPT.read_bytes()
