"""A notebook keeps its runs under another name, and gets none of another one that had the name before."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from histories import past_run

from nbpipe.history.search import Query, search
from nbpipe.history.trials import trials
from nbpipe.run.expected import expected_seconds
from nbpipe.run.project import Project
from nbpipe.run.renames import RENAMES, note_rename, stays
from nbpipe.tracking.trial import Trial


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with `a.ipynb` and one run of it, r1."""
    (tmp_path / "nbpipe.toml").touch()
    (tmp_path / "a.ipynb").touch()
    made = Project(tmp_path)
    ran(made, 1, "a")
    return made


def ran(project: Project, number: int, name: str) -> None:
    past_run(project, number, params={}, metrics={"acc": 0.5}, name=name)


def move(project: Project, before: str, after: str) -> None:
    """As the lab does."""
    (project.root / after).parent.mkdir(exist_ok=True)
    (project.root / before).rename(project.root / after)
    note_rename(project.root / before, project.root / after)


def runs(project: Project, name: str) -> list[str]:
    return [row.run for row in search(project, Query(notebook=str(project.root / name))).rows]


def test_runs_follow_their_notebook_through_names_and_folders(project: Project) -> None:
    move(project, "a.ipynb", "b.ipynb")
    ran(project, 2, "b")
    move(project, "b.ipynb", "old/c.ipynb")
    move(project, "old", "new")
    assert runs(project, "new/c.ipynb") == ["r2", "r1"]
    assert expected_seconds(project, "new/c.ipynb") == {"load": 0.5, "train": 0.5}
    # Who asks for a name that nothing has any more means the runs of then.
    assert runs(project, "a.ipynb") == ["r1"]


def test_a_notebook_gets_nothing_of_one_that_had_its_name(project: Project) -> None:
    move(project, "a.ipynb", "b.ipynb")
    (project.root / "a.ipynb").touch()
    ran(project, 2, "a")
    assert runs(project, "a.ipynb") == ["r2"]
    assert runs(project, "b.ipynb") == ["r1"]
    move(project, "b.ipynb", "c.ipynb")
    move(project, "a.ipynb", "b.ipynb")
    move(project, "c.ipynb", "a.ipynb")
    ran(project, 3, "a")
    assert runs(project, "a.ipynb") == ["r3", "r1"]
    assert runs(project, "b.ipynb") == ["r2"]


def test_there_and_back_again_is_the_same_notebook(project: Project) -> None:
    move(project, "a.ipynb", "b.ipynb")
    ran(project, 2, "b")
    move(project, "b.ipynb", "a.ipynb")
    ran(project, 3, "a")
    assert runs(project, "a.ipynb") == ["r3", "r2", "r1"]


def test_trials_follow_too(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    (project.state / "trials").mkdir()
    trial = Trial(
        id="t1", stage="s", kernel="k", notebook="a.ipynb", source="", started=1.0, seconds=1.0, status="succeeded"
    )
    (project.state / "trials" / "t1.json").write_bytes(msgspec.json.encode(trial))
    move(project, "a.ipynb", "b.ipynb")
    assert [one.id for one in trials(project, notebook="b.ipynb")] == ["t1"]
    (project.root / "a.ipynb").touch()
    assert trials(project, notebook="a.ipynb") == []


@pytest.mark.parametrize(
    "line",
    [
        b'{"before": "a.ipynb", "aft',
        b'{"before": "../x.ipynb", "after": "b.ipynb", "at": 1.0}',
        b'{"before": "/etc/passwd", "after": "b.ipynb", "at": 1.0}',
        b'{"before": "", "after": "b.ipynb", "at": 1.0}',
        b'{"before": 3, "after": "b.ipynb", "at": 1.0}',
        b"\xff\xfe\x00",
        b"[]",
    ],
)
def test_a_line_that_is_torn_or_leads_out_counts_for_nothing_and_spoils_no_other(project: Project, line: bytes) -> None:
    (project.state / RENAMES).write_bytes(line)
    assert [stay.path for stay in stays(project, "b.ipynb")] == ["b.ipynb"]
    move(project, "a.ipynb", "b.ipynb")
    assert runs(project, "b.ipynb") == ["r1"]


def test_nothing_is_noted_where_no_run_would_be_found_by_it(project: Project, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "nbpipe.toml").touch()
    (other / "x.ipynb").touch()
    note_rename(other / "y.ipynb", other / "x.ipynb")
    assert not (other / ".nbpipe").exists()
    # From one project into another, and out of any.
    note_rename(other / "a.ipynb", project.root / "a.ipynb")
    note_rename(project.root.parent / "a.ipynb", project.root / "a.ipynb")
    assert not (project.state / RENAMES).exists()
