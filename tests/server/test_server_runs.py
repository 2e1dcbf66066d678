"""Runs that the server starts, watches, stops and deletes; and those that others start."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
from click.testing import CliRunner
from executing import gone
from served import *  # noqa: F403 - fixtures
from served import write

from nbpipe.cli.show import command
from nbpipe.run import fleets
from nbpipe.run import record as records
from nbpipe.run.api import run_notebook
from nbpipe.run.project import Project
from nbpipe.server import saving
from nbpipe.server.extension import SCHEMA_ID
from nbpipe.targets.settings import Target


@pytest.fixture
def events(jp_serverapp: Any, desk: Any) -> list[dict[str, Any]]:
    """What the server tells everybody, with the time at which it did."""
    heard: list[dict[str, Any]] = []

    async def hear(logger: Any, schema_id: str, data: dict[str, Any]) -> None:
        heard.append({**data, "at": time.time()})

    jp_serverapp.event_logger.add_listener(schema_id=SCHEMA_ID, listener=hear)
    return heard


@pytest.fixture
def until(jp_asyncio_loop: Any) -> Any:
    """`until(what)`: let the server go on until it is true."""

    def wait(what: Any) -> None:
        end = time.monotonic() + 120
        while not what():
            assert time.monotonic() < end, "it did not happen in time"
            jp_asyncio_loop.run_until_complete(asyncio.sleep(0.02))

    return wait


def test_a_run_is_started_told_of_and_read_to_its_last_line(
    ask: Any, folder: Path, until: Any, events: list[dict[str, Any]]
) -> None:
    write(
        folder / "n.ipynb",
        "%%params\nn: int = 1",
        "%%stage say\nfor i in range(n):\n    print('line', i)",
        "%%stage end\nz = 1",
    )
    status, begun = ask("POST", "runs", path="n.ipynb", params={"n": 400})
    assert (status, begun) == (201, {"run": "r4", "status": "running"})
    until(lambda: ask("GET", "runs", "r4", path="n.ipynb")[1]["row"]["status"] == "succeeded")
    until(lambda: any(event["status"] == "succeeded" for event in events))
    assert {event["run"] for event in events} == {"r4"}
    assert all(event["project"] == "" for event in events)
    ended = records.read(Project(folder).runs / "r4")
    assert ended is not None
    told = next(event["at"] for event in events if event["status"] == "succeeded")
    # Well below a second where the machine has nothing else to do.
    assert told - ended.ended < 10
    # The log, in pieces.
    text, at = "", 0
    while True:
        _, part = ask("GET", "runs", "r4", "log", path="n.ipynb", stage="say", offset=at, limit=1000)
        assert part["next"] > at or part["eof"]
        text, at = text + part["text"], part["next"]
        if part["eof"]:
            break
    assert text.splitlines() == [f"line {n}" for n in range(400)]
    # Details.
    _, details = ask("GET", "runs", "r4", "details", path="n.ipynb")
    assert (details["params"], details["given"], details["executed"]) == ({"n": 400}, ["n"], True)
    assert [(stage["name"], stage["status"]) for stage in details["stages"]] == [
        ("say", "succeeded"),
        ("end", "succeeded"),
    ]
    assert details["environment"]["python"]
    # Nothing to do: the plan says so, and starting makes no run.
    assert ask("POST", "plan", path="n.ipynb", params={"n": 400})[1]["up_to_date"] == "r4"
    assert ask("POST", "runs", path="n.ipynb", params={"n": 400})[1] == {"run": "r4", "status": "up-to-date"}
    assert Project(folder).run_ids()[0] == "r4"
    # Its notebook, beside the present one; never over it.
    assert ask("POST", "runs", "r4", "checkout", path="n.ipynb") == (201, {"path": "n-r4.ipynb"})
    assert (folder / "n-r4.ipynb").read_bytes() == (folder / "n.ipynb").read_bytes()
    assert ask("POST", "runs", "r4", "checkout", path="n.ipynb") == (201, {"path": "n-r4.ipynb"})
    with (folder / "n-r4.ipynb").open("a") as edited:
        edited.write("\n")
    assert ask("POST", "runs", "r4", "checkout", path="n.ipynb")[1]["code"] == "exists"
    executed = ask("POST", "runs", "r4", "checkout", path="n.ipynb", executed=True)[1]["path"]
    assert "line 399" in (folder / executed).read_text()


def test_a_run_that_cannot_begin_is_refused_with_its_reason_and_leaves_nothing(ask: Any, folder: Path) -> None:
    write(folder / "n.ipynb", "%%stage a\nx = nowhere")
    status, answer = ask("POST", "runs", path="n.ipynb")
    assert (status, answer["code"]) == (422, "undefined-name")
    assert "nowhere" in answer["message"]
    write(folder / "n.ipynb", "%%params\nlr: float = 0.1", "%%stage a\nx = lr")
    status, answer = ask("POST", "runs", path="n.ipynb", params={"lr": "fast"})
    assert (status, answer["code"]) == (400, "parameter")
    assert Project(folder).run_ids() == ["r3", "r2", "r1"]


def test_a_run_is_of_the_cells_that_the_editor_shows_or_is_not_started(
    ask: Any, folder: Path, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "PATIENCE", 0.5)
    write(folder / "n.ipynb", "%%stage a\nx = 1", "%%stage b\ny = x")
    shown = write(folder / "later.ipynb", "%%stage a\nx = 1", "%%stage b\ny = x + 1")
    status, answer = ask("POST", "runs", path="n.ipynb", content=shown)
    assert (status, answer["code"]) == (409, "not-saved")
    assert "(cell 2)" in answer["message"]
    assert str(folder) not in answer["message"]
    assert Project(folder).run_ids() == ["r3", "r2", "r1"]
    # A save that is under way, as a shared document's is, is waited for.
    saved = threading.Timer(0.2, lambda: (folder / "n.ipynb").write_text((folder / "later.ipynb").read_text()))
    saved.start()
    status, begun = ask("POST", "runs", path="n.ipynb", content=shown)
    saved.join()
    assert (status, begun["run"]) == (201, "r4")
    until(lambda: ask("GET", "runs", "r4", path="n.ipynb")[1]["row"]["status"] == "succeeded")
    assert ask("POST", "runs", path="n.ipynb", content=shown)[1] == {"run": "r4", "status": "up-to-date"}
    # Outputs and counts of executions are nothing that a run is of; tags and metadata are.
    shown["cells"][0] |= {"execution_count": 7, "metadata": {"scrolled": True}}
    assert ask("POST", "runs", path="n.ipynb", content=shown)[0] == 201
    for metadata in ({"nbpipe": {"stage": "c"}}, {"tags": ["parameters"]}):
        shown["cells"][0]["metadata"] = metadata
        assert ask("POST", "runs", path="n.ipynb", content=shown)[1]["code"] == "not-saved"


def test_a_text_notebook_that_is_open_as_a_notebook_is_run(ask: Any, folder: Path) -> None:
    text = '# %% [markdown]\n# # Two\n\n# %%\n# %%stage a\nx = 1\n\n\n# %% tags=["stage:b"]\ny = x\n'
    (folder / "t.py").write_text(text)
    book = json.loads(nbformat.writes(jupytext.reads(text, fmt="py:percent")))
    # The lab has an empty cell at the end, which no text has.
    book["cells"].append({"cell_type": "code", "source": "", "metadata": {}, "outputs": [], "execution_count": None})
    assert ask("POST", "plan", path="t.py", content=book)[0] == 200
    assert ask("POST", "runs", path="t.py", content=book)[0] == 201


def test_a_killed_run_shows_as_interrupted_and_can_be_deleted(
    tmp_path: Path, folder: Path, ask: Any, until: Any, events: list[dict[str, Any]]
) -> None:
    write(folder / "n.ipynb", "%%stage wait\nimport time\ntime.sleep(60)", "%%stage after\nx = 1")
    run = ask("POST", "runs", path="n.ipynb")[1]["run"]
    until(lambda: ask("GET", "runs", run, path="n.ipynb")[1]["stages"][0]["status"] == "running")
    status, answer = ask("DELETE", "runs", run, path="n.ipynb")
    assert (status, answer["code"]) == (409, "running")
    record = records.read(Project(folder).runs / run)
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    until(lambda: any(event["run"] == run and event["status"] == "interrupted" for event in events))
    assert ask("GET", "runs", path="n.ipynb")[1]["rows"][0]["status"] == "interrupted"
    assert ask("DELETE", "runs", run, path="n.ipynb") == (204, None)
    until(lambda: any(event["status"] == "deleted" for event in events))
    assert ask("GET", "runs", run, path="n.ipynb")[0] == 404
    assert ask("GET", "runs", path="n.ipynb")[1]["total"] == 0


def test_tags_are_noted_and_taken_away(ask: Any, until: Any, events: list[dict[str, Any]]) -> None:
    ask("GET", "runs", path="")
    assert (
        ask("POST", "runs", "r2", "tag", path="", tags={"team": "vision", "good": "yes"})[1]["tags"]["team"] == "vision"
    )
    assert ask("POST", "runs", "r2", "tag", path="", tags={"team": None}) == (200, {"tags": {"good": "yes"}})
    assert ask("GET", "rows", path="", run="r2")[1]["rows"][0]["tags"] == {"good": "yes"}
    until(lambda: any(event["run"] == "r2" for event in events))
    assert ask("POST", "runs", "r2", "tag", path="", tags={"mlflow.x": "1"})[0] == 400


def test_only_so_many_runs_are_on_at_once(ask: Any, desk: Any) -> None:
    desk.starting._most = 0
    status, answer = ask("POST", "runs", path="n.ipynb")
    assert (status, answer["code"]) == (429, "busy")


def test_a_registry_that_is_down_is_said_to_be(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    status, answer = ask("GET", "models", path="n.ipynb")
    assert (status, answer["code"]) == (503, "store")
    page = ask("GET", "runs", path="digits.ipynb")
    assert (page[0], page[1]["total"]) == (200, 3)


def test_runs_are_on_this_machine(ask: Any) -> None:
    assert [target["name"] for target in ask("GET", "targets")[1]["targets"]] == ["local"]


def test_the_kernel_that_a_failed_stage_has_left_is_told_of_and_ended(
    ask: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, answer = ask("POST", "runs", path="n.ipynb", **{"continue": True})
    assert (status, answer["code"]) == (400, "usage")
    assert "no target has kept" in answer["message"]
    box = Target(name="box", kind="ssh", python=sys.executable, folder=str(tmp_path / "worker"), keep_failed=600.0)
    monkeypatch.setattr(fleets, "targets_of", lambda _: {"box": box})
    write(
        folder / "n.ipynb",
        "%%params\nn: int = 1",
        "%%stage train\nimport os\nprint(f'pid={os.getpid()};')\nx = n",
        "%%stage train\nx / 0",
    )
    failed = run_notebook(folder / "n.ipynb", params={"n": 2}, seed=3, on="box")
    _, log = ask("GET", "runs", failed.run, "log", path="n.ipynb")
    pid = int(log["text"].partition("pid=")[2].partition(";")[0])

    def kept() -> Any:
        _, details = ask("GET", "runs", failed.run, "details", path="n.ipynb")
        return details["stages"][0]["kept"]

    told = kept()
    assert (told["target"], told["cell"], told["gpus"]) == ("box", 3, [])
    assert told["start"] == {"continue": True, "on": "box", "params_from": failed.run, "seed": 3}
    assert 0 < told["until"] - time.time() <= 600
    assert told["memory"] > 10 << 20
    monkeypatch.chdir(folder)
    shown = CliRunner().invoke(command, [failed.run], catch_exceptions=False, env={"COLUMNS": "100"})
    assert f"run n.ipynb --continue --on=box --params-from={failed.run} --seed=3" in shown.output
    assert ask("POST", "runs", "r1", "release", path="n.ipynb", stage="train")[0] == 400
    ended = {"run": failed.run, "stage": "train", "ended": True}
    assert ask("POST", "runs", failed.run, "release", path="n.ipynb", stage="train") == (200, ended)
    assert gone(pid)
    assert kept() is None
    status, answer = ask("POST", "runs", failed.run, "release", path="n.ipynb", stage="train")
    assert (status, answer["code"]) == (400, "usage")


def test_a_run_is_sent_to_a_target_by_name_only(ask: Any) -> None:
    status, answer = ask("POST", "runs", path="n.ipynb", on="--fresh")
    assert (status, answer["code"]) == (400, "usage")
    assert "no target" in answer["message"]
