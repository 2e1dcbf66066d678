"""The widgets from Python: what they are asked, and what they stand as where nothing shows them."""

from __future__ import annotations

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
