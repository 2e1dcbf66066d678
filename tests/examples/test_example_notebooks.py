"""Each example notebook runs from nothing, is up to date the second time, and reruns only what a parameter reaches."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest

from nbpipe.run.api import RunResult, run_notebook

EXAMPLES = Path(__file__).parents[2] / "example_notebooks"
#: Notebook -> (parameter, value, stages that must run again, stages that must not).
CHANGES: dict[str, tuple[dict[str, float], set[str], set[str]]] = {
    "quickstart.ipynb": ({"sides": 20}, {"throw", "summarize", "fair"}, set()),
    "digits.ipynb": ({"C": 1.0}, {"train_svm", "evaluate"}, {"load", "look", "prepare", "train_cnn"}),
    "gpu.ipynb": ({"lr": 0.01}, {"train", "evaluate"}, {"load"}),
    "weather.ipynb": ({"alpha": 5.0}, {"forecast", "evaluate", "picture"}, {"collect", "features", "split"}),
    "local_module.ipynb": ({"top": 3}, {"show"}, {"read", "count", "lengths"}),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NBPIPE_TRACKING", "off")
    shutil.copytree(EXAMPLES, tmp_path / "work", ignore=shutil.ignore_patterns(".nbpipe", "data"))
    return tmp_path / "work"


def ran(result: RunResult) -> set[str]:
    return {stage.name for stage in result.stages if stage.status != "cached"}


def test_every_example_is_tested() -> None:
    assert set(CHANGES) == {path.name for path in EXAMPLES.glob("*.ipynb")}


@pytest.mark.parametrize(
    "name",
    # torch is imported ten times for it; the default suite tries ranks and checkpoints without.
    [pytest.param(name, marks=pytest.mark.long) if name == "gpu.ipynb" else name for name in CHANGES],
)
def test_an_example_runs_is_up_to_date_and_reruns_what_a_parameter_reaches(name: str, folder: Path) -> None:
    params, again, untouched = CHANGES[name]
    first = run_notebook(folder / name)
    assert first.status == "succeeded", first.failure
    executed = nbformat.read(first.notebook, 4)
    nbformat.validate(executed)
    assert any(cell.get("outputs") for cell in executed.cells)

    assert run_notebook(folder / name).up_to_date

    changed = run_notebook(folder / name, params=params)
    assert changed.status == "succeeded", changed.failure
    assert again <= ran(changed)
    assert not untouched & ran(changed)


def test_editing_the_helper_module_reruns_what_reaches_it_and_a_comment_nothing(folder: Path) -> None:
    notebook, module = folder / "local_module.ipynb", folder / "text_cleaning.py"
    assert run_notebook(notebook).status == "succeeded"

    module.write_text(module.read_text() + "\n# only a comment\n")
    assert run_notebook(notebook).up_to_date

    module.write_text(module.read_text().replace('"with"}', '"with", "where"}'))
    changed = run_notebook(notebook)
    assert "count" in ran(changed)
    assert not {"read", "lengths"} & ran(changed)


def test_a_changed_data_file_is_noticed_by_the_stage_that_reads_it(folder: Path) -> None:
    notebook, table = folder / "weather.ipynb", folder / "data" / "seattle.csv"
    assert run_notebook(notebook).status == "succeeded"
    before = table.read_bytes()
    table.write_bytes(b"\n".join(before.splitlines()[:400]))
    again = run_notebook(notebook)
    assert again.status in {"succeeded", "up-to-date"}
    assert table.read_bytes() == before, "a stage that writes the file restores what it wrote"
