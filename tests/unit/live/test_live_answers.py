"""The comm `nbpipe.status` of a real kernel: answered when asked, between cells, and never in a cell's way."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from queue import Empty
from typing import Any

import nbformat
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from kernels import Live

LOAD = "from nbpipe.magics import load_ipython_extension as load\nload(get_ipython())"
pytestmark = pytest.mark.filterwarnings("ignore")


class Asker:
    """A front-end with one kernel."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client
        self.comms = 0

    def send(self, kind: str, **content: Any) -> Any:
        message = self.client.session.msg(kind, content)
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def replies(self, asked: Any, wanted: str) -> Iterator[Any]:
        """Messages of that kind until the kernel is done with what was asked."""
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            if message["parent_header"].get("msg_id") != asked:
                continue
            if message["msg_type"] == wanted:
                yield message["content"]
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return
        raise TimeoutError(wanted)

    def open(self) -> tuple[str, list[Any]]:
        """A comm of ours, and whether the kernel closed it at once."""
        self.comms += 1
        name = f"c{self.comms}"
        asked = self.send("comm_open", comm_id=name, target_name="nbpipe.status", data={})
        return name, list(self.replies(asked, "comm_close"))

    def ask(self, comm: str, data: Any) -> Any:
        asked = self.send("comm_msg", comm_id=comm, data=data)
        return [reply["data"] for reply in self.replies(asked, "comm_msg")]

    def run(self, code: str) -> None:
        reply = self.client.execute_interactive(code, timeout=120, output_hook=lambda _: None)
        assert reply["content"]["status"] == "ok", reply["content"]


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """A kernel in a project whose notebook has two stages."""
    folder = tmp_path_factory.mktemp("asked")
    (folder / "nbpipe.toml").touch()
    cells = [nbformat.v4.new_code_cell(source) for source in ("%%stage load\nx = 1", "%%stage train\ny = x + 1")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "flow.ipynb")
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(folder), env={**os.environ, "JPY_SESSION_NAME": str(folder / "flow.ipynb")})
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    yield Asker(client)
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_a_kernel_says_which_stages_are_stale_only_when_it_is_asked(asker: Asker) -> None:
    comm, closed = asker.open()
    assert closed, "without the extension nobody answers, and the front-end is told"

    asker.run(LOAD)
    comm, closed = asker.open()
    assert not closed
    asker.run("%%stage load\nx = 1")
    with pytest.raises(Empty):
        asker.client.get_iopub_msg(timeout=0.2)

    (answer,) = asker.ask(comm, {"kind": "status"})
    assert answer["kind"] == "status"
    assert [(item["stage"], item["state"]) for item in answer["status"]["stages"]] == [
        ("load", "fresh"),
        ("train", "not run"),
    ]
    asker.run("%%stage load\nx = 2")
    (answer,) = asker.ask(comm, {"kind": "status"})
    (load, _) = answer["status"]["stages"]
    assert (load["state"], load["reasons"][0]["kind"]) == ("stale", "code")

    content = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("%%stage load\nx = 2")])
    (answer,) = asker.ask(comm, {"kind": "status", "content": content})
    assert [(item["stage"], item["state"]) for item in answer["status"]["stages"]] == [("load", "fresh")]
    assert answer["status"]["saved"] is None, "what stands in the editor counts, saved or not"
    (answer,) = asker.ask(comm, {"kind": "status", "content": {"cells": "none"}})
    assert answer["status"]["stages"] == []

    for odd in ({"kind": "rm"}, {}, "text", None, ["status"]):
        (answer,) = asker.ask(comm, odd)
        assert answer["kind"] == "error"
    asker.run("assert x == 2")


def test_a_notebook_that_cannot_be_read_is_an_answer_and_not_an_error_in_a_cell(asker: Asker) -> None:
    asker.run(LOAD)
    asker.run("from pathlib import Path; Path('flow.ipynb').write_text('{')")
    comm, _ = asker.open()
    (answer,) = asker.ask(comm, {"kind": "status"})
    assert answer["kind"] == "status"
    assert answer["status"]["stages"] == []
    assert any("flow.ipynb" in note for note in answer["status"]["notes"])


def test_nothing_is_looked_at_while_a_cell_runs(live: Live) -> None:
    from nbpipe.live.answers import Answers

    answers = Answers(live.session)
    live.shell.user_ns["ask"] = lambda: live.shell.user_ns.update(found=answers.answer({"kind": "status"}))
    live.run("ask()")
    assert live.shell.user_ns["found"] == {"kind": "busy"}
    assert answers.answer({"kind": "status"})["kind"] == "status"


def test_a_fault_of_ours_is_told_and_not_raised(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbpipe.live import answers

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(answers, "status_of", broken)
    answer = answers.Answers(live.session).answer({"kind": "status"})
    assert answer == {"kind": "error", "code": "internal", "message": "RuntimeError: out of order", "fix": ""}
