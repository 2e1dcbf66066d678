"""A stage that is slow, and one below it that is fast: what one kernel gives, whoever was there first."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from corpus import Case
from reference import normal, run_all

from nbpipe.run.api import RunResult, run_notebook
from nbpipe.run.planning import plan_notebook

_MAKES = "import os\nos.makedirs('out', exist_ok=True)\nopen('out/x.csv', 'w').write('1')"
_DEEP = "import os\nos.makedirs('out/a/b', exist_ok=True)\nopen('out/a/b/x.csv', 'w').write('1')"
#: What the first stage asks for, and what the one below it does meanwhile.
PAIRS = {
    "is a folder": ("print(os.path.isdir('out'))", _MAKES),
    "is an empty folder": ("print(os.path.isdir('out'))", "import os\nos.makedirs('out', exist_ok=True)"),
    "exists": ("print(os.path.exists('out'))", _MAKES),
    "a file exists": ("print(os.path.exists('out/x.csv'))", _MAKES),
    "lists the project": ("print(sorted(n for n in os.listdir('.') if n != '.nbpipe'))", _MAKES),
    "lists what it makes": ("os.makedirs('out', exist_ok=True)\nprint(os.listdir('out'))", _DEEP),
    "lists an empty one": (
        "os.makedirs('out', exist_ok=True)\nprint(os.listdir('out'))",
        "import os\nos.makedirs('out/a/b')",
    ),
    "walks": ("print([names for _, _, names in os.walk('out')])", _DEEP),
    "globs": ("import glob\nprint(glob.glob('out/**/*.csv', recursive=True))", _DEEP),
    "clears": (
        "import shutil\nshutil.rmtree('out', ignore_errors=True)\nos.makedirs('out')\nprint(os.listdir('out'))",
        _MAKES,
    ),
    "makes it itself": ("os.mkdir('out')\nprint('made')", _MAKES),
    "asserts": ("assert not os.path.exists('out/x.csv')", _MAKES),
    "removes": ("try:\n    os.remove('out/x.csv')\nexcept OSError as error:\n    print(type(error).__name__)", _MAKES),
    "another program lists": ("!ls out", _MAKES),
    "a folder is moved": (
        "print(os.path.exists('out/x.csv'))",
        "import os\nos.makedirs('new')\nopen('new/x.csv', 'w').write('1')\nos.rename('new', 'out')",
    ),
}
_FEW = {"is a folder", "lists what it makes", "makes it itself", "another program lists"}
_ALL = [pytest.param(name, marks=() if name in _FEW else pytest.mark.long, id=name) for name in PAIRS]


@pytest.fixture
def mark() -> Iterator[Path]:
    """A file that nobody watches: there once the stage below has done its work."""
    with tempfile.TemporaryDirectory(prefix="nbpipe-ahead-") as folder:
        yield Path(folder) / "done"


def _waits(mark: Path) -> str:
    """Code that goes on when the mark is there; it does not wait for ever where its stage comes first."""
    return (
        f"end = time.time() + 10\nwhile not os.path.exists({str(mark)!r}) and time.time() < end:\n    time.sleep(0.01)"
    )


def _outputs(result: RunResult) -> list[list[dict[str, Any]]]:
    return [normal(cell.outputs) for cell in nbformat.read(result.notebook, 4).cells]


@pytest.mark.parametrize("name", _ALL)
@pytest.mark.parametrize("ended", [True, False], ids=["ended", "running"])
def test_a_slow_stage_sees_nothing_of_a_fast_one_below(
    name: str,
    *,
    ended: bool,
    mark: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NBPIPE_TRACKING", "off")
    above, below = PAIRS[name]
    # It goes on when the other one has ended, or while it still runs.
    rest = "" if ended else "\nimport time\ntime.sleep(1)"
    cells = (
        f"%%stage above\nimport os, time\n{_waits(mark)}\n{'time.sleep(1)' if ended else ''}\n{above}",
        f"%%stage below\n{below}\nopen({str(mark)!r}, 'w').close(){rest}",
    )
    case = Case("ahead", "", cells)
    found = run_notebook(case.write(tmp_path), jobs=2)
    assert mark.exists()
    elsewhere = tmp_path_factory.mktemp("reference")
    case.write(elsewhere)
    expected = run_all(case.notebook(), elsewhere, {})
    assert found.status == "succeeded"
    assert _outputs(found) == [expected.outputs[1], expected.outputs[2]]
    assert sorted(_tree(tmp_path)) == sorted(_tree(elsewhere))


def _tree(project: Path) -> Iterator[str]:
    for path in project.rglob("*"):
        name = path.relative_to(project)
        if name.parts[0] not in (".nbpipe", "mlruns"):
            yield (
                f"{name}/" if path.is_dir() else f"{name} {path.read_text()}" if path.suffix != ".ipynb" else str(name)
            )


def test_a_stage_above_fails_as_in_one_kernel_where_one_below_made_the_folder_for_it(
    mark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBPIPE_TRACKING", "off")
    cells = (
        f"%%stage above\nimport os, time\n{_waits(mark)}\nopen('out/y', 'w').write('1')",
        f"%%stage below\n{_MAKES}\nopen({str(mark)!r}, 'w').close()",
    )
    notebook = Case("ahead", "", cells).write(tmp_path)
    for _ in range(2):
        found = run_notebook(notebook, jobs=2)
        assert found.failure is not None
        assert "FileNotFoundError" in found.failure.message
        assert not (tmp_path / "out").exists()


def test_folders_that_a_stage_made_are_there_for_those_below_it_also_when_it_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBPIPE_TRACKING", "off")
    made = "%%stage made\nimport os\nos.makedirs('out/deep', exist_ok=True)\nos.makedirs('gone')\nos.rmdir('gone')"

    def run(text: str) -> str:
        below = f"%%stage below\nopen('out/deep/x', 'w').write('{text}')\nimport os\nprint(os.path.isdir('gone'))"
        found = run_notebook(Case("folders", "", (made, below)).write(tmp_path))
        assert found.failure is None
        return found.status

    assert run("1") == "succeeded"
    (tmp_path / "out/deep/x").unlink()
    (tmp_path / "out/deep").rmdir()
    (tmp_path / "out").rmdir()
    assert run("2") == "succeeded"
    assert (tmp_path / "out/deep/x").read_text() == "2"
    assert run("2") == "up-to-date"
    shutil.rmtree(tmp_path / "out")
    planned = plan_notebook(tmp_path / "case.ipynb")
    assert [item.action for item in planned.decisions] == ["HIT", "HIT"]
    assert planned.restores == ("out/", "out/deep/", "out/deep/x")
    assert run("2") == "succeeded"
    assert (tmp_path / "out/deep/x").read_text() == "2"


def test_what_is_up_to_date_is_the_run_that_read_what_is_there_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBPIPE_TRACKING", "off")
    notebook = Case("data", "", ("%%stage read\nprint(open('data.txt').read())",)).write(tmp_path)
    seen = []
    for text in ("one", "two", "one", "two"):
        (tmp_path / "data.txt").write_text(text)
        found = run_notebook(notebook)
        seen.append((found.status, found.run))
        assert _outputs(found)[0][0]["text"] == f"{text}\n"
    assert seen == [("succeeded", "r1"), ("succeeded", "r2"), ("up-to-date", "r1"), ("up-to-date", "r2")]


def test_a_plan_knows_a_folder_that_a_run_would_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBPIPE_TRACKING", "off")
    made = f"%%stage made\n{_DEEP}"
    notebook = Case("folders", "", (made, "%%stage listed\nimport os\nprint(os.listdir('out'))")).write(tmp_path)
    assert run_notebook(notebook, jobs=1).status == "succeeded"
    shutil.rmtree(tmp_path / "out")
    assert [item.action for item in plan_notebook(notebook).decisions] == ["HIT", "HIT"]
    assert {stage.status for stage in run_notebook(notebook).stages} == {"cached"}
    assert (tmp_path / "out/a/b/x.csv").exists()
