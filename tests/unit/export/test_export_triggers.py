"""Runs that a change starts: a file or a dataset, in each scheduler's own words, or refused."""

from __future__ import annotations

import ast
import contextlib
import os
import subprocess
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml  # type: ignore[import-untyped]
from hostile import hostile
from msgspec.structs import replace

from nbpipe.errors import UnsupportedError, UsageError
from nbpipe.export.api import deployment_of
from nbpipe.export.base import Definition
from nbpipe.export.registry import exporter, exporters
from nbpipe.export.triggers import LOOK, read_datasets, read_files
from nbpipe.notebook.reader import read_notebook

FILES = {"airflow", "dagster", "systemd", "github-actions"}
DATASETS = {"airflow", "dagster", "prefect", "metaflow"}


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """In a folder of the project."""
    (tmp_path / "nbpipe.toml").touch()
    (tmp_path / "books").mkdir()
    cells = [nbformat.v4.new_code_cell("%%stage one\nx = 1", id="a")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "books" / "n.ipynb")
    return tmp_path / "books" / "n.ipynb"


def define(notebook: Path, to: str, **given: Any) -> Definition:
    remote: dict[str, Any] = {"store": "s3://bucket/x", "image": "i"} if exporter(to).remote else {}
    return exporter(to).definition(deployment_of(read_notebook(notebook), to=to, **remote, **given))


@pytest.mark.parametrize("to", exporters())
def test_a_trigger_is_carried_or_refused_with_a_scheduler_that_has_it(notebook: Path, to: str) -> None:
    for option, carried, given in (
        ("--trigger-file", FILES, {"trigger_files": ["data/x.csv"]}),
        ("--trigger-dataset", DATASETS, {"trigger_datasets": ["sales/orders"]}),
    ):
        if to in carried:
            assert define(notebook, to, **given).files != define(notebook, to, schedule="@daily").files
            continue
        with pytest.raises(UnsupportedError, match=f"cannot express {option}") as refused:
            define(notebook, to, **given)
        named = set((refused.value.fix or "").rstrip(".").rpartition(": ")[2].split(", "))
        assert named == carried


def test_a_path_is_taken_from_the_notebook_s_folder_and_stays_in_the_project(tmp_path: Path) -> None:
    beside = tmp_path / "books"
    assert read_files(["x.csv", "../data/*.csv", "**/y.csv", "./x.csv"], beside, tmp_path) == (
        "books/x.csv",
        "data/*.csv",
        "books/**/y.csv",
    )
    for wrong in ("", "..", "../../x", "/etc/passwd", "data/", "a**.csv", "data/**", "a\nb", "a\\b", "a "):
        with pytest.raises(UsageError, match="--trigger-file"):
            read_files([wrong], beside, tmp_path)


def test_a_dataset_is_a_uri_or_a_key_and_holds_no_password() -> None:
    names = ("s3://bucket/orders", "sales/orders", "orders", "postgres://host/db/public/orders")
    assert read_datasets(names) == names
    for wrong in ("", " ", "a b", "a\nb", "*", "!a", "{{ x }}", "${x}", "s3://user:pass@host/x", "a" * 600):
        with pytest.raises(UsageError, match="dataset"):
            read_datasets([wrong])


def test_every_parameter_has_a_value_where_runs_start_by_themselves(notebook: Path) -> None:
    cells = ["%%params\npath: str", "%%stage one\nx = path"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell, id=f"c{n}") for n, cell in enumerate(cells)])
    nbformat.write(book, notebook)
    with pytest.raises(UnsupportedError, match="has nobody who gives 'path' a value"):
        define(notebook, "airflow", trigger_datasets=["orders"])
    define(notebook, "airflow", trigger_datasets=["orders"], params={"path": "x"})


def test_what_a_file_holds_counts_and_not_when_it_was_written(tmp_path: Path) -> None:
    """The part of the modules for Airflow and Dagster that looks at files."""
    names: dict[str, Any] = {"PROJECT": tmp_path, "FILES": ["data/*.csv", "a[[]b[?].txt"]}
    exec(f"import hashlib\n{LOOK}", names)  # noqa: S102 - the generated module's own
    look, same = names["state_of_files"], names["same_files"]
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "x.csv"
    file.write_text("1")
    (tmp_path / "data" / "x.txt").write_text("no file of the pattern")
    (tmp_path / "a[b?.txt").write_text("2")
    first = look({})
    assert set(first) == {"data/x.csv", "a[b?.txt"}
    assert same(None, first)
    os.utime(file, ns=(5, 5))
    touched = look(first)
    assert same(first, touched)
    assert touched != first
    # What looks as before is not read: the digest that is known stays.
    known = {name: [size, changed, "known"] for name, (size, changed, _) in touched.items()}
    assert look(known) == known
    file.write_text("3")
    assert not same(first, look(first))
    file.unlink()
    assert not same(first, look(first))


def test_a_path_unit_watches_the_project_from_which_its_service_finds_the_folder(notebook: Path) -> None:
    found = define(notebook, "systemd", trigger_files=["../data/100%.csv", "in/*.csv", "in/*.txt", "*.md"])
    unit = found.files["nbpipe-n@.path"].splitlines()
    watched = [line for line in unit if line.startswith("PathChanged=")]
    assert watched == ["PathChanged=%f/data/100%%.csv", "PathChanged=%f/books/in", "PathChanged=%f/books"]
    service = found.files["nbpipe-n@.service"]
    assert "WorkingDirectory=%f/books/exports/n-systemd\n" in service
    assert "EnvironmentFile=-%f/books/exports/n-systemd/environment\n" in service
    assert "nbpipe-n@.timer" not in found.files
    both = define(notebook, "systemd", trigger_files=["x.csv"], schedule="@daily")
    assert {"nbpipe-n@.path", "nbpipe-n@.timer"} < set(both.files)
    plain = define(notebook, "systemd", schedule="@daily")
    assert "WorkingDirectory=%f\n" in plain.files["nbpipe-n@.service"]
    with pytest.raises(UnsupportedError, match="looks at one folder"):
        define(notebook, "systemd", trigger_files=["**/x.csv"])
    with pytest.raises(UnsupportedError, match="outside of it"):
        define(notebook, "systemd", trigger_files=["x.csv"], out=Path("/elsewhere"))


def test_the_commands_that_start_the_units_name_the_project(notebook: Path, tmp_path: Path) -> None:
    """`systemctl` and `systemd-escape` are asked for what they are given."""
    found = define(notebook, "systemd", trigger_files=["x.csv"], schedule="@daily")
    folder = notebook.parent / "exports" / "n-systemd"
    folder.mkdir(parents=True)
    for path, text in found.files.items():
        (folder / path).write_text(text)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, script in {"systemctl": 'printf "%s\\n" "$@"', "systemd-escape": 'printf "%s" "$2" | tr / -'}.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    words = ["sh", "-e", "-c", found.steps[-1][1]]
    said = subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout
    instance = str(tmp_path).replace("/", "-")
    assert said.splitlines()[-2:] == [f"nbpipe-n@{instance}.timer", f"nbpipe-n@{instance}.path"]
    assert len(list((tmp_path / ".config" / "systemd" / "user").iterdir())) == 3


def test_a_push_to_the_default_branch_that_touches_the_file_starts_the_workflow(notebook: Path) -> None:
    found = define(notebook, "github-actions", trigger_files=["data/*.csv", "a[1]+b!.csv"])
    workflow = yaml.load(found.files[found.main], Loader=yaml.BaseLoader)  # noqa: S506 - where `on` is a text
    assert workflow["on"]["push"] == {"paths": ["books/data/*.csv", r"books/a\[1\]\+b\!.csv"]}
    assert "default_branch" in workflow["jobs"]["run"]["if"]
    plain = yaml.safe_load(define(notebook, "github-actions").files[found.main])
    assert "if" not in plain["jobs"]["run"]


def test_what_a_scheduler_has_no_words_for_is_refused(notebook: Path) -> None:
    with pytest.raises(UnsupportedError, match="its assets have keys"):
        define(notebook, "dagster", trigger_datasets=["s3://bucket/x"])
    with pytest.raises(UnsupportedError, match="would wait for both"):
        define(notebook, "metaflow", trigger_datasets=["one", "two"])


@pytest.mark.parametrize("to", sorted(FILES | DATASETS))
def test_no_hostile_name_of_a_file_or_dataset_becomes_more_than_a_text(notebook: Path, to: str) -> None:
    given = deployment_of(read_notebook(notebook), to=to, schedule="@daily")
    option = "trigger_files" if to in FILES else "trigger_datasets"
    read: list[tuple[str, ...]] = []
    for text in hostile():
        with contextlib.suppress(UsageError):
            beside, project = notebook.parent, notebook.parents[1]
            read.append(read_files([text], beside, project) if to in FILES else read_datasets([text]))
    assert len(read) > (100 if to in FILES else 10)
    if to in ("airflow", "dagster", "github-actions"):  # all at once: these take longer to write
        read = [tuple(dict.fromkeys(name for names in read for name in names))]
    for names in read:
        try:
            found = exporter(to).definition(replace(given, **{option: names})).files
        except UnsupportedError:
            continue
        same = exporter(to).definition(replace(given, **{option: tuple("x" * len(names))})).files
        assert {path: shape(path, content) for path, content in found.items()} == {
            path: shape(path, content) for path, content in same.items()
        }


def shape(path: str, content: str) -> object:
    """All but its texts."""
    if path.endswith(".py"):
        tree = ast.parse(content)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                node.value = ""
        return ast.dump(tree)
    if path.endswith(".yml"):
        workflow = yaml.safe_load(content)
        workflow["on"]["push"]["paths"] = len(workflow["on"]["push"]["paths"])
        return workflow
    return [line.partition("=")[0] for line in content.splitlines()]
