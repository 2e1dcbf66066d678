"""Where the state of a project lies, and the ids of its runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nbpipe.errors import UsageError
from nbpipe.run import record as records
from nbpipe.run.project import Project, find_project, relative


@pytest.mark.parametrize("mark", ["nbpipe.toml", "pyproject.toml", ".git"])
def test_the_project_is_the_nearest_folder_above_with_a_mark(tmp_path: Path, mark: str) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / "a" / mark).touch()
    assert find_project(inner / "n.ipynb").root == (tmp_path / "a").resolve()
    assert find_project(inner).root == (tmp_path / "a").resolve()


def test_new_runs_get_the_next_number(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert project.run_ids() == []
    assert [project.new_run() for _ in range(11)][-2:] == ["r10", "r11"]
    assert project.run_ids()[:3] == ["r11", "r10", "r9"]
    (project.runs / "r9").rmdir()
    assert project.new_run() == "r12"
    assert (project.state / ".gitignore").read_text() == "*\n"


def test_what_is_no_run_is_not_listed(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.new_run()
    for name in ("r0", "r01", "x1", "r-1", "r9999999999"):
        (project.runs / name).mkdir()
    assert project.run_ids() == ["r1"]


def test_processes_at_once_never_get_the_same_run(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from nbpipe.run.project import Project\n"
        "for _ in range(20): print(Project(Path(sys.argv[1])).new_run())"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    names = [name for process in started for name in process.communicate()[0].split()]
    assert len(names) == len(set(names)) == 60


@pytest.mark.parametrize("name", ["r1/../r2", "../x", "r0", "", "r1 ", "latest", "x" * 500])
def test_a_name_that_is_no_run_id_is_refused(tmp_path: Path, name: str) -> None:
    project = Project(tmp_path)
    project.new_run()
    with pytest.raises(UsageError, match="is not a run"):
        project.run_folder(name)


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no run r7"):
        Project(tmp_path).run_folder("r7")


def test_paths_are_relative_where_they_lie_below(tmp_path: Path) -> None:
    assert relative(tmp_path / "a" / "n.ipynb", tmp_path.resolve()) == "a/n.ipynb"
    assert relative(Path("/elsewhere/n.ipynb"), tmp_path.resolve()) == "/elsewhere/n.ipynb"


def test_a_record_comes_back_and_half_a_record_is_none(tmp_path: Path) -> None:
    record = records.Record(id="r1", notebook="n.ipynb", name="n", version="v", params={"k": [1]}, keys={"a": "k"})
    records.write(tmp_path, record)
    assert records.read(tmp_path) == record
    (tmp_path / records.RECORD).write_text('{"id": "r1"')
    assert records.read(tmp_path) is None
    assert records.read(tmp_path / "nowhere") is None


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    import os

    mine = records.process_start(os.getpid())
    record = records.Record(id="r1", notebook="n", name="n", version="v", pid=os.getpid(), process_started=mine)
    assert records.is_alive(record)
    record.process_started = mine - 1
    assert not records.is_alive(record)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert records.process_start(child.pid) == 0
