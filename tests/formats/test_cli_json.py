"""What commands print with `--json` is what docs/formats/cli-json.md says: these fields, all of them, of these types."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "formats" / "cli-json.md"
GOOD = ["%%params\nk: int = 1", "%%stage one --metrics a\na = sum([1.5])", "%%stage two\nb = a + k\nprint(b)"]
BROKEN = [
    "%%stage one\na = sum([1])",
    "%%stage two --metrics bad,a\nbad = float('nan')\nprint(a)",
    "%%stage three\na / 0",
]
PLAIN: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
}


def tables() -> dict[str, dict[str, str]]:
    """Heading -> field -> type, for every section of the page that has a table of fields."""
    found = {}
    for section in re.split(r"^##+ ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0].replace("`", "").removeprefix("A ").removeprefix("An ").lower()
        fields = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", section, re.MULTILINE))
        if fields and "other commands" not in title:
            found[title] = fields
    return found


TABLES = tables()


def fits(value: Any, kind: str, where: str) -> None:
    if kind.endswith("?"):
        if value is not None:
            fits(value, kind[:-1], where)
    elif kind.startswith("list of "):
        assert isinstance(value, list), where
        for number, item in enumerate(value):
            fits(item, kind.removeprefix("list of "), f"{where}[{number}]")
    elif kind.startswith("object of "):
        assert isinstance(value, dict), where
        for name, item in value.items():
            fits(item, kind.removeprefix("object of "), f"{where}.{name}")
    elif kind.startswith("["):
        is_a(value, kind[1:].partition("]")[0], where)
    else:
        assert PLAIN[kind](value), f"{where}: {value!r} is not {kind}"


def is_a(shape: dict[str, Any], title: str, where: str = "") -> None:
    """Every field of the table, no other, each of its type."""
    assert set(shape) == set(TABLES[title]), where or title
    for name, kind in TABLES[title].items():
        fits(shape[name], kind, f"{where or title}.{name}")


def notebook(folder: Path, cells: list[str]) -> Path:
    (folder / "nbpipe.toml").touch()
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, folder / "book.ipynb")
    return folder


def said(folder: Path, *words: str) -> tuple[int, list[str]]:
    env = os.environ | {"NBPIPE_TRACKING": "off"}
    done = subprocess.run(
        [sys.executable, "-m", "nbpipe", *words, "--json"], cwd=folder, env=env, capture_output=True, check=False
    )
    return done.returncode, done.stdout.decode().splitlines()


def line_of(folder: Path, *words: str, code: int = 0) -> dict[str, Any]:
    """The one line on standard output; JSON in the strict sense."""
    returned, lines = said(folder, *words)
    assert (returned, len(lines)) == (code, 1), lines

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is not JSON")

    found = json.loads(lines[0], parse_constant=refuse)
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = notebook(tmp_path_factory.mktemp("good"), GOOD)
    return folder, line_of(folder, "run", "book.ipynb")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = notebook(tmp_path_factory.mktemp("broken"), BROKEN)
    return folder, line_of(folder, "run", "book.ipynb", code=1)


def test_a_run_ends_with_one_line_that_names_the_executed_copy(good: tuple[Path, dict[str, Any]]) -> None:
    folder, line = good
    is_a(line, "nbpipe run")
    assert (line["status"], line["exit_code"], line["metrics"], line["error"]) == ("succeeded", 0, {"a": 1.5}, None)
    assert [(stage["name"], stage["status"], stage["reason"]) for stage in line["stages"]] == [
        ("one", "succeeded", "first run"),
        ("two", "succeeded", "first run"),
    ]
    executed = nbformat.read(line["notebook"], as_version=4)
    assert executed.cells[2].outputs[0].text == "2.5\n"
    assert Path(line["notebook"]).is_relative_to(folder.resolve())


def test_a_second_run_prints_the_same_shape_and_says_up_to_date(good: tuple[Path, dict[str, Any]]) -> None:
    folder, first = good
    line = line_of(folder, "run", "book.ipynb")
    is_a(line, "nbpipe run")
    assert (line["status"], line["run"], line["notebook"]) == ("up-to-date", first["run"], first["notebook"])
    assert [(stage["status"], stage["reason"]) for stage in line["stages"]] == [("cached", "from r1")] * 2


def test_a_run_that_failed_prints_the_same_shape_with_its_failure(broken: tuple[Path, dict[str, Any]]) -> None:
    _, line = broken
    is_a(line, "nbpipe run")
    assert (line["status"], line["exit_code"]) == ("failed", 1)
    assert (line["error"]["code"], line["error"]["stage"], line["error"]["cell"], line["error"]["line"]) == (
        "user-code",
        "three",
        3,
        2,
    )
    assert "ZeroDivisionError" in line["error"]["traceback"]
    assert line["metrics"] == {"a": 1.0}
    assert line["warnings"] == ["stage 'two': metric 'bad' is nan at the end of the stage: left out"]


def test_where_no_run_began_the_line_has_the_error_and_the_exit_code(good: tuple[Path, dict[str, Any]]) -> None:
    for words, code, name in (
        (("run", "none.ipynb"), 3, "notebook"),
        (("run", "book.ipynb", "-p", "k=x"), 2, "parameter"),
        (("show", "r99"), 2, "usage"),
    ):
        line = line_of(good[0], *words, code=code)
        is_a(line, "when a command fails")
        assert (line["exit_code"], line["error"]["code"]) == (code, name)


def test_a_plan_prints_its_decisions(good: tuple[Path, dict[str, Any]]) -> None:
    folder, run = good
    line = line_of(folder, "plan", "book.ipynb")
    is_a(line, "nbpipe plan")
    assert line["up_to_date"]
    assert line["version"] == run["version"]
    line = line_of(folder, "plan", "book.ipynb", "-p", "k=2")
    is_a(line, "nbpipe plan")
    assert [(item["action"], item["reasons"]) for item in line["stages"]] == [("HIT", []), ("RUN", ["`k` 1 → 2"])]


def test_a_check_prints_all_problems(good: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    line = line_of(good[0], "check", "book.ipynb")
    is_a(line, "nbpipe check")
    assert (line["status"], line["stages"]) == ("ok", ["one", "two"])
    folder = notebook(tmp_path, ["%%stage a\nprint(x)", "%%stage b\nprint(y)"])
    line = line_of(folder, "check", "book.ipynb", code=3)
    is_a(line, "nbpipe check")
    assert [(item["code"], item["name"]) for item in line["problems"]] == [
        ("undefined-name", "x"),
        ("undefined-name", "y"),
    ]


def test_a_graph_prints_stages_and_edges(good: tuple[Path, dict[str, Any]]) -> None:
    line = line_of(good[0], "graph", "book.ipynb")
    is_a(line, "nbpipe graph")
    assert line["edges"] == [{"source": "one", "target": "two", "names": ["a"], "kind": "data"}]


def test_history_and_show_print_runs(good: tuple[Path, dict[str, Any]], broken: tuple[Path, dict[str, Any]]) -> None:
    for folder, run in (good, broken):
        line = line_of(folder, "history")
        is_a(line, "nbpipe history")
        assert [row["run"] for row in line["runs"]] == [run["run"]]
        line = line_of(folder, "show")
        is_a(line, "nbpipe show")
        assert (line["stages"], line["notebook"]) == (run["stages"], run["notebook"])
        stage = line_of(folder, "show", "--stage", "two")
        is_a({name: value for name, value in stage.items() if name not in ("schema", "run")}, "stage")


def test_the_page_names_the_fields_of_every_other_command(good: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    page = PAGE.read_text().partition("## The other commands")[2]
    rows = {
        command: set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", fields)))
        for command, fields in re.findall(r"^\| `nbpipe (\w+)` \| (.*) \|$", page, re.MULTILINE)
    }
    assert set(rows) == {
        "suggest",
        "tag",
        "logs",
        "report",
        "stop",
        "export",
        "gc",
        "fsck",
        "doctor",
        "help",
        "checkout",
        "trials",
    }
    folder = good[0]
    untagged = notebook(tmp_path, ["a = sum([1.5])", "print(a)"])
    shown = {
        "suggest": line_of(untagged, "suggest", "book.ipynb"),
        "tag": line_of(folder, "tag", "latest", "good=yes"),
        "logs": line_of(folder, "logs"),
        "report": line_of(folder, "report", "--to", "script", "-o", str(tmp_path / "x.py")),
        "checkout": line_of(folder, "checkout", "latest", "-o", str(tmp_path / "x.ipynb")),
        "stop": line_of(folder, "stop", "latest"),
        "export": line_of(folder, "export", "book.ipynb", "--to", "airflow", "-o", str(tmp_path / "out")),
        "gc": line_of(folder, "gc"),
        "trials": line_of(folder, "trials"),
        "fsck": line_of(folder, "fsck"),
        "help": line_of(folder, "help", "early-exit"),
        "doctor": json.loads(said(folder, "doctor")[1][0]),
    }
    assert {command: set(line) - {"schema"} for command, line in shown.items()} == {
        command: fields - {"schema"} for command, fields in rows.items()
    }


def test_an_explanation_prints_its_parts(tmp_path: Path) -> None:
    folder = notebook(tmp_path, ["%%params\nk: int = 1\nunused: int = 1", "%%stage one --metrics a\na = k + 0.5"])
    assert said(folder, "run", "book.ipynb")[0] == 0
    assert said(folder, "run", "book.ipynb", "-p", "k=2", "-p", "unused=2")[0] == 0
    line = line_of(folder, "explain", "r1", "r2", "--metric", "a")
    is_a(line, "nbpipe explain")
    assert [(part["status"], part["contribution"]) for part in line["parts"]] == [("measured", 1.0), ("no-effect", 0.0)]
    assert (line["before"], line["after"]) == ({"run": "r1", "value": 1.5}, {"run": "r2", "value": 2.5})
