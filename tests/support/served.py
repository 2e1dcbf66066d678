"""A Jupyter server with nbpipe in it, per test, on a project of its own: `from served import *` in a module of tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from histories import past_runs
from pytest_jupyter.jupyter_server import *  # noqa: F403 - its fixtures; as a plugin they would be everybody's
from tornado.httpclient import HTTPClientError

from nbpipe.server.desk import Desk

Ask = Callable[..., tuple[int, Any]]


@pytest.fixture  # type: ignore[no-redef]
def jp_server_config() -> dict[str, Any]:
    return {
        "ServerApp": {
            "jpserver_extensions": {"nbpipe": True, "jupyter_server_terminals": False},
            "allow_unauthenticated_access": False,
        }
    }


@pytest.fixture
def folder(jp_root_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lab's folder: a project with three runs and `n.ipynb`."""
    monkeypatch.setenv("NBPIPE_TRACKING", "off")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    past_runs(jp_root_dir, 3)
    write(jp_root_dir / "n.ipynb", "%%params\nlr: float = 0.1  # rate", "%%stage load\nx = lr", "%%stage train\ny = x")
    write(jp_root_dir / "digits.ipynb", "%%stage load\nx = 1")
    return jp_root_dir


@pytest.fixture
def desk(folder: Path, jp_serverapp: Any, jp_asyncio_loop: Any) -> Iterator[Desk]:
    """What the handlers of the server share."""
    found = jp_asyncio_loop.run_until_complete(jp_serverapp.web_app.settings["nbpipe_front"].desk())
    yield found
    found.close()


@pytest.fixture
def ask(desk: Desk, jp_fetch: Any, jp_asyncio_loop: Any) -> Ask:
    """`ask("GET", "runs", path="n.ipynb")`: status and JSON; a POST sends what it is given as its body."""

    def asked(method: str, *parts: str, headers: dict[str, str] | None = None, **question: Any) -> tuple[int, Any]:
        body = json.dumps(question) if method == "POST" else None
        several = ((name, value) for name, values in question.items() for value in _each(values))
        params = [] if method == "POST" else list(several)
        try:
            sent = jp_fetch("nbpipe", "api", *parts, method=method, body=body, params=params, headers=headers)
            answer = jp_asyncio_loop.run_until_complete(sent)
        except HTTPClientError as error:
            answer = error.response
        return answer.code, json.loads(answer.body) if answer.body else None

    return asked


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def write(path: Path, *sources: str) -> dict[str, Any]:
    """A notebook of code cells; its JSON."""
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(source, id=f"c{n}") for n, source in enumerate(sources, 1)]
    nbformat.write(book, path)
    return dict(json.loads(path.read_text()))
