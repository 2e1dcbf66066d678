"""`nbpipe check` finds every problem, not only the first."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

from nbpipe.check.problems import find_problems
from nbpipe.cli.check import command
from nbpipe.cli.main import run


def write(folder: Path, *sources: str) -> Path:
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    path = folder / "book.ipynb"
    nbformat.write(book, path)
    return path


def found(path: Path) -> list[tuple[str, int | None, str | None]]:
    return [(problem.code, problem.cell, problem.name) for problem in find_problems(path).problems]


def test_a_sound_notebook_has_no_problem_and_a_pipeline(tmp_path: Path) -> None:
    findings = find_problems(write(tmp_path, "%%stage a\nx = 1", "%%stage b\ny = x"))
    assert findings.problems == ()
    assert findings.pipeline is not None
    assert [stage.name for stage in findings.pipeline.stages] == ["a", "b"]


def test_undefined_names_of_several_stages_are_all_found(tmp_path: Path) -> None:
    path = write(tmp_path, "%%stage a\nx = missing", "%%stage b\ny = x + other", "%%stage c\nz = y + third")
    assert [(cell, name) for _, cell, name in found(path)] == [(1, "missing"), (2, "other"), (3, "third")]


def test_syntax_errors_bad_lines_and_undefined_names_are_found_together(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "%%stage load --wat\nx = 1",
        "%%stage prep\ny = (",
        "%%stage train\nz = y + nowhere",
        "%%stage load2\ndef f(:\n    pass",
    )
    codes = found(path)
    assert [cell for _, cell, _ in codes] == [1, 2, 3, 4]
    assert codes[2] == ("undefined-name", 3, "nowhere")


def test_what_a_broken_cell_was_to_give_is_not_reported_as_missing(tmp_path: Path) -> None:
    assert found(write(tmp_path, "%%stage a\nx = (", "%%stage b\ny = x")) == [
        found(write(tmp_path, "%%stage a\nx = ("))[0]
    ]


def test_line_numbers_count_the_magic_line(tmp_path: Path) -> None:
    (problem,) = find_problems(write(tmp_path, "%%stage a\nx = 1\ny = (")).problems
    assert (problem.stage, problem.cell, problem.line) == ("a", 1, 3)


def test_a_file_that_is_no_notebook_is_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "x.ipynb"
    path.write_text("{")
    assert [code for code, _, _ in found(path)] == ["notebook"]
    assert [code for code, _, _ in found(tmp_path / "none.ipynb")] == ["notebook"]


def test_a_notebook_without_stages_is_one_problem(tmp_path: Path) -> None:
    assert [code for code, _, _ in found(write(tmp_path, "x = 1"))] == ["pipeline"]


@pytest.mark.parametrize(
    ("sources", "arguments", "code"),
    [
        (["%%stage a\nx = 1"], [], 0),
        (["%%stage a\nx = nope"], [], 3),
        (["%%params\nlr: float = 0.1", "%%stage a\nx = lr"], ["-p", "lr=fast"], 2),
        (["%%params\nlr: float = 0.1", "%%stage a\nx = lr"], ["-p", "rl=1"], 2),
        (["%%params\npath: str", "%%stage a\nx = path"], [], 0),
    ],
)
def test_the_exit_code_says_what_kind_of_problem_it_is(
    tmp_path: Path, sources: list[str], arguments: list[str], code: int
) -> None:
    path = write(tmp_path, *sources)
    for extra in ([], ["--json"]):
        assert run(["check", str(path), *arguments, *extra]) == code


def test_json_lists_every_problem_with_its_place_and_fix(tmp_path: Path) -> None:
    path = write(tmp_path, "%%stage a\nx = missing", "%%stage b\ny = other")
    shape = json.loads(CliRunner().invoke(command, [str(path), "--json"]).stdout)
    assert (shape["status"], shape["exit_code"], shape["pipeline"]) == ("error", 3, None)
    assert [(p["stage"], p["cell"], p["line"], p["name"]) for p in shape["problems"]] == [
        ("a", 1, 2, "missing"),
        ("b", 2, 2, "other"),
    ]
    assert all(problem["fix"] for problem in shape["problems"])
