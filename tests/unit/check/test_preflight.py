"""What is found before anything runs, and what one click would do about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from corpus import cases

from nbpipe.check.findings import Finding
from nbpipe.check.preflight import examine, examine_file
from nbpipe.notebook.reader import read_notebook
from nbpipe.run.fleets import targets_of
from nbpipe.run.project import Project
from nbpipe.targets.tested import note


def found(folder: Path, *sources: str, counts: tuple[int | None, ...] = (), kernel: str = "") -> list[Finding]:
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    for cell, count in zip(book.cells, counts, strict=False):
        cell["execution_count"] = count
    if kernel:
        book.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
    path = folder / "book.ipynb"
    nbformat.write(book, path)
    return list(examine(read_notebook(path), folder, Project(folder)).findings)


def told(findings: list[Finding]) -> list[tuple[str, str, int | None, int | None, str]]:
    return [(item.severity, item.code, item.cell, item.line, item.name) for item in findings]


def test_a_name_of_an_exploration_cell_is_one_click_from_being_a_stage(tmp_path: Path) -> None:
    (problem,) = found(tmp_path, "import math\nscaler = math.sqrt(2)", "%%stage prepare\ny = scaler")
    assert (problem.code, problem.cell, problem.name) == ("undefined-name", 2, "scaler")
    (action,) = problem.actions
    assert (action.kind, action.cell, action.source) == ("tag-cell", 1, "%%stage prepare-2")
    tagged = found(tmp_path, f"{action.source}\nimport math\nscaler = math.sqrt(2)", "%%stage prepare\ny = scaler")
    assert tagged == []


def test_a_name_that_is_computed_further_down_is_no_click_away(tmp_path: Path) -> None:
    (problem,) = found(tmp_path, "%%stage a\ny = later", "later = len('x')")
    assert problem.actions == ()


def test_a_slip_in_a_line_is_corrected_or_taken_away(tmp_path: Path) -> None:
    problem = found(tmp_path, "%%stage a --retrys 2\nx = 1", "%%stage b\ny = 1")[0]
    assert problem.code == "grammar"
    assert [(each.kind, each.source) for each in problem.actions] == [
        ("replace-source", "%%stage a --retries 2\nx = 1"),
        ("untag-cell", None),
    ]


def test_files_that_are_not_there_are_named_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "here.csv").write_text("a\n1\n")
    findings = found(
        tmp_path,
        "%%stage load --reads data/*.csv\nimport json\na = open('here.csv').read()\nb = open('gone.csv').read()",
        "%%stage save\nwith open('made.txt', 'w') as f:\n    f.write(a + b)",
        "%%stage use\nc = open('made.txt').read()\nd = open('https://example.org/x').read()",
    )
    assert told(findings) == [
        ("warning", "missing-file", 1, 1, "data/*.csv"),
        ("warning", "missing-file", 1, 4, "gone.csv"),
    ]


def test_a_file_beside_it_that_is_nearly_called_so_is_one_click_away(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("a\n1\n")
    (problem,) = found(tmp_path, "%%stage load\n# data/trian.csv\na = open('data/trian.csv').read()")
    (action,) = problem.actions
    assert (action.kind, action.label) == ("replace-source", "Write train.csv for trian.csv")
    assert action.source == "%%stage load\n# data/trian.csv\na = open('data/train.csv').read()"
    assert found(tmp_path, action.source) == []


def test_a_working_directory_that_changes_leaves_paths_alone(tmp_path: Path) -> None:
    assert found(tmp_path, "%%stage a\nimport os\nos.chdir('/tmp')\nx = open('gone.csv').read()") == []


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        ("x = (n for n in range(3))", "a generator"),
        ("x = open('book.ipynb')", "an open file"),
        ("import sqlite3\nx = sqlite3.connect(':memory:')", "a connection"),
        ("def gen():\n    yield 1\nx = gen()", "a generator"),
    ],
)
def test_what_certainly_cannot_be_stored_is_said_before_it_runs(tmp_path: Path, made: str, kind: str) -> None:
    (problem,) = found(tmp_path, f"%%stage make\n{made}", "%%stage use\ny = list(x)")
    assert (problem.severity, problem.code, problem.name, problem.stage) == ("error", "unserializable", "x", "make")
    assert kind in problem.message
    # Of a generator a list is one click away; a file is opened where it is read, by hand.
    assert [action.kind for action in problem.actions] == ["replace-source"] * (kind == "a generator")
    for action in problem.actions:
        assert found(tmp_path, action.source or "", "%%stage use\ny = list(x)") == []


@pytest.mark.parametrize(
    "made",
    [
        "x = [n for n in range(3)]",
        "x = (n for n in range(3))\nx = list(x)",
        "def f():\n    def g():\n        yield 1\n    return list(g())\nx = f()",
        "import contextlib\n@contextlib.contextmanager\ndef gen():\n    yield 1\nwith gen() as v:\n    x = v",
    ],
)
def test_what_may_well_be_stored_is_no_problem(tmp_path: Path, made: str) -> None:
    assert found(tmp_path, f"%%stage make\n{made}", "%%stage use\ny = x") == []


def test_packages_that_are_not_installed_are_one_click_away(tmp_path: Path) -> None:
    (tmp_path / "helpers.py").write_text("a = 1\n")
    findings = found(
        tmp_path,
        "import cv2_not_there",
        "%%stage a\nimport json, helpers\nimport numpy as np\nx = cv2_not_there.f()",
        "%%stage b\ntry:\n    import fast_not_there\nexcept ImportError:\n    fast_not_there = None\ny = 1",
    )
    assert told(findings) == [
        ("error", "missing-package", 1, 1, "cv2_not_there"),
        ("warning", "missing-package", 3, 3, "fast_not_there"),
    ]
    assert [(each.kind, each.source) for each in findings[0].actions] == [("install", "cv2_not_there")]


@pytest.mark.parametrize(
    "first",
    [
        "import sys\nsys.path.insert(0, 'elsewhere')\nx = 1",
        "with open('made_below.py', 'w') as file:\n    file.write('a = 1')\nx = 1",
    ],
)
def test_what_may_be_importable_by_then_is_no_problem(tmp_path: Path, first: str) -> None:
    assert found(tmp_path, f"%%stage a\n{first}", "%%stage b\nimport made_below\ny = x") == []


def test_a_module_that_a_cell_without_a_stage_writes_is_no_package_to_install(tmp_path: Path) -> None:
    (item,) = found(tmp_path, "%%writefile made_there.py\na = 1", "%%stage a\nimport made_there\nx = made_there.a")
    assert (item.code, item.cell, item.actions) == ("missing-package", 2, ())
    assert "which cell 1 writes" in item.message
    assert item.fix == "Add %%stage to cell 1."
    assert found(tmp_path, "%%stage w\n%%writefile made_there.py\na = 1", "%%stage a\nimport made_there\nx = 1") == []


def test_after_a_shell_line_nothing_is_certain(tmp_path: Path) -> None:
    findings = found(
        tmp_path,
        "%%stage a\n!pip install not_there_yet\nx = 1",
        "%%stage b\nimport not_there_yet\ny = open('g').read()",
    )
    assert told(findings) == [("warning", "missing-package", 2, 2, "not_there_yet")]


def test_of_another_kernel_it_is_not_known_what_is_installed(tmp_path: Path) -> None:
    assert found(tmp_path, "%%stage a\nimport not_there_at_all", kernel="conda-other") == []


def test_cells_that_were_executed_out_of_order_are_hidden_state(tmp_path: Path) -> None:
    cells = ("%%stage a\nx = 1", "%%stage b\ny = x", "%%stage c\nz = y", "z")
    findings = found(tmp_path, *cells, counts=(5, 2, 6, 1))
    assert told(findings) == [("warning", "hidden-state", 2, 1, "")]
    assert [(each.kind, each.cell) for each in findings[0].actions] == [("run-cell", 2)]
    assert found(tmp_path, *cells, counts=(1, None, 7, 3)) == []


def test_a_parameter_that_nothing_reads_is_said(tmp_path: Path) -> None:
    findings = found(tmp_path, "%%params\nlr = 0.1\nbase = 2\nwidth = base * 2\nspare = 1", "%%stage a\nx = lr * width")
    assert told(findings) == [("warning", "unread-parameter", 1, 5, "spare")]


def test_no_notebook_is_an_error_of_ours(tmp_path: Path) -> None:
    """Odd values where only people's editors write."""
    odd: list[Any] = ["x", -1, 1.5, [], {}, True, None, 10**30]
    for value in odd:
        cell = {
            "cell_type": "code",
            "source": "%%stage a\nx = 1",
            "metadata": {},
            "outputs": [],
            "execution_count": value,
        }
        path = tmp_path / "odd.ipynb"
        path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell, cell]}))
        examine(read_notebook(path), tmp_path, Project(tmp_path))


def test_of_the_corpus_only_what_cannot_run_has_errors(tmp_path: Path) -> None:
    """What is certain to fail is an error, and nothing that runs is said to be."""
    for case in cases():
        folder = tmp_path / case.name
        folder.mkdir()
        errors = [item for item in examine_file(case.write(folder)).findings if item.severity == "error"]
        assert not errors or "error" in case.expect, (case.name, errors)


def test_a_package_that_a_target_lacks_is_said_at_the_stage_that_would_run_there(tmp_path: Path) -> None:
    (tmp_path / "nbpipe.toml").write_text('[targets.gpu]\nkind = "ssh"\nhost = "gpu01"\npython = "/env/bin/python"\n')
    cells = ("%%stage a\nimport msgspec\nx = msgspec.json.encode(1)", "%%stage b --on gpu\nimport msgspec\ny = msgspec")
    project = Project(tmp_path)
    assert [item for item in found(tmp_path, *cells) if item.code == "missing-package"] == []
    gpu = targets_of(project)["gpu"]
    note(project.state, gpu, ready=True, detail="", packages={"msgspec": ""})
    # A test that asks for nothing takes nothing back.
    note(project.state, gpu, ready=False, detail="no answer")
    (item,) = [item for item in found(tmp_path, *cells) if item.code == "missing-package"]
    assert (item.severity, item.stage, item.cell, item.name) == ("warning", "b", 2, "msgspec")
    assert "target 'gpu' did not have" in item.message
    assert item.fix.startswith("There: /env/bin/python -m pip install msgspec==")
    note(project.state, gpu, ready=True, detail="", packages={"msgspec": "0.1"})
    assert [item for item in found(tmp_path, *cells) if item.code == "missing-package"] == []


def test_a_target_that_the_project_does_not_describe_is_said_with_its_cell(tmp_path: Path) -> None:
    (tmp_path / "nbpipe.toml").write_text('[targets.gpu]\nkind = "ssh"\nhost = "gpu01"\n')
    cells = (
        "%%stage a --on gpu\nx = 1",
        "%%stage b --on gpi\ny = x",
        "%%stage c --on local\nz = y",
        "%%stage d --on gpu --nodes 2\nw = z",
    )
    wrong = [item for item in found(tmp_path, *cells) if item.severity == "error"]
    assert [(item.stage, item.cell, item.name) for item in wrong] == [("b", 2, "gpi"), ("d", 4, "nodes")]
    assert "Did you mean 'gpu'?" in wrong[0].fix
    (tmp_path / "nbpipe.toml").write_text('[targets.gpu]\nkind = "kubernetes"\n')
    assert any("no image, claim or folder" in item.message for item in found(tmp_path, *cells))
