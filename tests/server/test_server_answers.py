"""What the server answers about notebooks and runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from served import *  # noqa: F403 - fixtures
from served import write

import nbpipe
from nbpipe.server.notebooks import MOST_CELLS


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


def test_a_notebook_is_looked_at_as_it_stands_in_the_editor(ask: Any, folder: Path) -> None:
    content = write(folder / "other.ipynb", "%%stage a\nx = 1", "%%stage b\ny = x + z")
    (folder / "other.ipynb").unlink()
    status, view = ask("POST", "pipeline", path="other.ipynb", content=content)
    assert status == 200
    assert (view["version"], [stage["name"] for stage in view["stages"]]) == ("", ["a", "b"])
    (problem,) = view["problems"]
    assert (problem["code"], problem["cell"], problem["id"], problem["line"]) == ("undefined-name", 2, "c2", 2)
    text = "# %%\n# %%stage a\nx = 1\n"
    assert [stage["name"] for stage in ask("POST", "pipeline", path="t.py", content=text)[1]["stages"]] == ["a"]


@pytest.mark.parametrize(
    "content",
    [{}, [], 3, "x", {"cells": 3}, {"nbformat": 99}, {"nbformat": 4, "cells": [{"cell_type": "code", "source": 3}]}],
)
def test_what_is_no_notebook_is_a_problem_and_no_failure(ask: Any, content: Any) -> None:
    status, view = ask("POST", "pipeline", path="n.ipynb", content=content)
    assert (status, [problem["code"] for problem in view["problems"]]) == (200, ["notebook"])
    assert view["stages"] == []


def test_malformed_files_and_huge_notebooks_are_problems_too(ask: Any, folder: Path) -> None:
    for name, data in (("a.ipynb", b"\xff\xfe"), ("b.ipynb", b"[" * 100_000), ("c.py", b"\0\x01"), ("d.md", b"")):
        (folder / name).write_bytes(data)
        status, view = ask("POST", "pipeline", path=name)
        assert (status, view["problems"][0]["severity"]) == (200, "error"), name
        assert str(folder) not in json.dumps(view), name
    cells = [{"cell_type": "code", "source": "%%stage a", "metadata": {}}] * (MOST_CELLS + 1)
    view = ask("POST", "pipeline", path="n.ipynb", content={"nbformat": 4, "metadata": {}, "cells": cells})[1]
    assert "too much" in view["problems"][0]["message"]


def test_a_plan_says_what_a_run_would_do_with_what_is_in_the_editor(ask: Any, folder: Path) -> None:
    status, plan = ask("POST", "plan", path="n.ipynb", params={"lr": 0.5}, until="load")
    assert (status, plan["up_to_date"]) == (200, None)
    assert [(stage["name"], stage["action"]) for stage in plan["stages"]] == [("load", "run")]
    content = write(folder / "n.ipynb", "%%stage a\nx = nowhere")
    status, answer = ask("POST", "plan", path="n.ipynb", content=content)
    assert (status, answer["code"]) == (422, "undefined-name")
    assert ask("POST", "plan", path="digits.ipynb", params={"no": 1})[1]["code"] == "parameter"


def test_stages_are_suggested_as_lines_with_the_graph_they_give(ask: Any, folder: Path) -> None:
    write(folder / "raw.ipynb", "import math\ndata = [1, 2]", "total = sum(data)", "print(total)")
    status, view = ask("POST", "suggest", path="raw.ipynb")
    assert status == 200
    assert {cell["line"] for cell in view["cells"]} == {f"%%stage {cell['name']}" for cell in view["cells"]}
    assert {stage["name"] for stage in view["pipeline"]["stages"]} == {cell["name"] for cell in view["cells"]}
    assert view["pipeline"]["problems"] == []
    assert view["metadata"] == {"mergeable": True}
    assert ask("POST", "suggest", path="n.ipynb")[0] == 400


def test_runs_are_compared_with_each_other_and_read_one_by_one(ask: Any) -> None:
    status, diff = ask("GET", "diff", path="digits.ipynb", a="r1", b="r2", part="params")
    assert status == 200
    assert {item["name"] for item in diff["params"]} >= {"lr", "model"}
    assert [row["run"] for row in ask("GET", "rows", path="", run=["r2", "r9", "r1"])[1]["rows"]] == ["r2", "r1"]
    assert [stage["name"] for stage in ask("GET", "runs", "r1", path="")[1]["stages"]] == ["load", "train"]
    details = ask("GET", "runs", "r2", "details", path="digits.ipynb")[1]
    assert (details["params"]["model"], details["notebook"], details["executed"]) == ("mlp", None, False)


def test_an_answer_that_takes_too_long_is_given_up(ask: Any, desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "_patience", 0.0)
    status, answer = ask("GET", "runs", path="")
    assert (status, answer["code"]) == (503, "timeout")


def test_a_notebook_that_the_lab_renames_keeps_its_runs(
    ask: Any, folder: Path, jp_fetch: Any, jp_asyncio_loop: Any
) -> None:
    def rename(path: str, name: str) -> None:
        body = json.dumps({"path": name})
        jp_asyncio_loop.run_until_complete(jp_fetch("api", "contents", path, method="PATCH", body=body))

    (folder / "kept").mkdir()
    rename("digits.ipynb", "kept/numbers.ipynb")
    status, page = ask("GET", "runs", path="kept/numbers.ipynb")
    assert status == 200
    assert [row["run"] for row in page["rows"]] == ["r3", "r2", "r1"]
    rename("kept", "moved")
    status, page = ask("GET", "runs", path="moved/numbers.ipynb")
    assert page["total"] == 3
    # Looking changes nothing.
    noted = (folder / ".nbpipe" / "renames.jsonl").read_bytes()
    assert noted.count(b"\n") == 2
    ask("GET", "runs", path="moved/numbers.ipynb")
    assert (folder / ".nbpipe" / "renames.jsonl").read_bytes() == noted
