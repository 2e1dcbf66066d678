"""What the server answers about notebooks and runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from served import *  # noqa: F403 - fixtures

import nbpipe


def test_the_server_says_its_version(ask: Any) -> None:
    assert ask("GET", "info") == (200, {"version": nbpipe.__version__, "schema": 1})


def test_a_notebook_is_shown_as_a_pipeline_with_a_form(ask: Any) -> None:
    status, view = ask("POST", "pipeline", path="n.ipynb")
    assert status == 200
    assert [(stage["name"], stage["cells"], stage["ids"]) for stage in view["stages"]] == [
        ("load", [2], ["c2"]),
        ("train", [3], ["c3"]),
    ]
    assert view["edges"] == [{"source": "load", "target": "train", "names": ["x"], "kind": "data"}]
    assert view["params"][0] | {"name": "lr", "type": "float", "default": 0.1, "help": "rate"} == view["params"][0]
    assert view["problems"] == []


def test_a_page_of_runs_is_that_of_a_notebook_or_of_the_project(ask: Any, folder: Path) -> None:
    assert (ask("GET", "runs", path="n.ipynb"))[1]["total"] == 0
    assert [row["run"] for row in (ask("GET", "runs", path="digits.ipynb"))[1]["rows"]] == ["r3", "r2", "r1"]
    status, page = ask("GET", "runs", path="", where="acc > 0.8", sort="acc", limit="1")
    assert (status, page["total"], [row["run"] for row in page["rows"]]) == (200, 1, ["r3"])
