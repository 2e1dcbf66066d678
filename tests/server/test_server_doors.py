"""Nobody gets in without a key, nothing is found outside the lab's folder, and a GET leaves no trace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from served import *  # noqa: F403 - fixtures
from served import write
from tornado.httpclient import HTTPClientError

from nbpipe.server import answering
from nbpipe.server.routes import ROUTES, Route

OUTSIDE = [
    "../secret.ipynb",
    "..",
    "a/../../secret.ipynb",
    "%2e%2e/secret.ipynb",
    "/etc/passwd",
    "/etc",
    "~root",
    "link.ipynb",
    "away/secret.ipynb",
    "away",
    ".hidden.ipynb",
    ".nbpipe/runs/r1/n.ipynb",
    ".nbpipe",
    "n.ipynb\0.ipynb",
    "n.ipynb\n",
    "x" * 5000,
    "nothing.ipynb",
]
#: Enough for every route, but for the path.
SOUND: dict[str, Any] = {
    "a": "r1",
    "b": "r2",
    "run": "r1",
    "metric": "acc",
    "to": "airflow",
    "as": "champion",
    "tags": {"a": "b"},
}
HOSTILE_RUNS = ["..", "r0", "r1.", "r1%2f..", "r01", "R1", "r1e5", "1", "latest", "r1;ls", "r" + "9" * 12, "r1\n"]


def url_of(route: Route) -> tuple[str, ...]:
    return tuple(route.path.replace("{run}", "r1").split("/"))


def send(fetch: Any, loop: Any, route: Route, **more: Any) -> tuple[int, Any]:
    body = "{}" if route.method == "POST" else None
    try:
        sent = fetch("nbpipe", "api", *url_of(route), method=route.method, body=body, **more)
        answer = loop.run_until_complete(sent)
    except HTTPClientError as error:
        assert error.response is not None
        answer = error.response
    return answer.code, answer


def test_no_route_opens_without_a_key_or_with_a_wrong_one(desk: Any, jp_fetch: Any, jp_asyncio_loop: Any) -> None:
    for key in ("", "token wrong", "Bearer wrong"):
        for route in ROUTES:
            code, answer = send(jp_fetch, jp_asyncio_loop, route, headers={"Authorization": key})
            assert (code, json.loads(answer.body)["code"]) == (403, "forbidden"), (route, key)


def test_a_page_of_another_origin_cannot_use_the_cookie(desk: Any, jp_fetch: Any, jp_asyncio_loop: Any) -> None:
    info = ROUTES[0]
    _, answer = send(jp_fetch, jp_asyncio_loop, info)
    cookies = "; ".join(text.partition(";")[0] for text in answer.headers.get_list("Set-Cookie"))
    assert cookies
    given = {"Authorization": "", "Cookie": f"{cookies}; _xsrf=token"}
    assert send(jp_fetch, jp_asyncio_loop, info, headers=given)[0] == 200
    for route in ROUTES:
        if route.method == "GET":
            continue
        assert send(jp_fetch, jp_asyncio_loop, route, headers=given)[0] == 403, route
        assert send(jp_fetch, jp_asyncio_loop, route, headers={**given, "X-XSRFToken": "other"})[0] == 403, route
    # The very same question is let in with the token: it was the missing token that kept it out.
    pipeline = next(route for route in ROUTES if route.path == "pipeline")
    assert send(jp_fetch, jp_asyncio_loop, pipeline, headers={**given, "X-XSRFToken": "token"})[0] == 400
    far = {**given, "Origin": "https://elsewhere.example"}
    assert send(jp_fetch, jp_asyncio_loop, pipeline, headers={**far, "X-XSRFToken": "token"})[0] in (403, 404)


def test_every_route_says_what_the_user_must_be_allowed_to_do(
    desk: Any, jp_serverapp: Any, jp_fetch: Any, jp_asyncio_loop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def refuse(_handler: Any, _user: Any, action: str, resource: str) -> bool:
        asked.append((action, resource))
        return False

    monkeypatch.setattr(jp_serverapp.authorizer, "is_authorized", refuse)
    for route in ROUTES:
        assert send(jp_fetch, jp_asyncio_loop, route)[0] == 403
    assert asked == [(route.action, "nbpipe") for route in ROUTES]
    execute = {f"{route.method} {route.path}" for route in ROUTES if route.action == "execute"}
    assert execute == {"POST runs", "POST runs/{run}/stop", "POST runs/{run}/release"}
    assert all(route.action == "read" for route in ROUTES if route.method == "GET")


def test_methods_that_are_not_in_the_table_are_refused(desk: Any, jp_fetch: Any, jp_asyncio_loop: Any) -> None:
    for method in ("PUT", "PATCH"):
        with pytest.raises(HTTPClientError) as refused:
            jp_asyncio_loop.run_until_complete(jp_fetch("nbpipe", "api", "runs", method=method, body="{}"))
        assert refused.value.code == 405


@pytest.fixture
def outside(folder: Path, tmp_path: Path) -> Path:
    """A folder beside the lab's, to which links lead."""
    away = tmp_path / "away"
    away.mkdir()
    write(away / "secret.ipynb", "%%stage secret\nx = 1")
    write(tmp_path / "secret.ipynb", "%%stage secret\nx = 1")
    (folder / "link.ipynb").symlink_to(away / "secret.ipynb")
    (folder / "away").symlink_to(away)
    write(folder / ".hidden.ipynb", "%%stage secret\nx = 1")
    return away


def test_paths_that_lead_out_or_are_hidden_are_not_there(ask: Any, outside: Path) -> None:
    for path in OUTSIDE:
        for route in ROUTES:
            if route.where == "nowhere":
                continue
            # All else that it asks for is right.
            status, answer = ask(route.method, *url_of(route), **{**SOUND, "path": path})
            assert status in (400, 404), (path, route, answer)
            assert "secret" not in json.dumps(answer).replace(path, "")
            assert str(outside.parent) not in json.dumps(answer)
    assert ask("POST", "pipeline", path="new/../../x.ipynb", content={})[0] == 404
    assert ask("POST", "runs", "r1", "checkout", path="digits.ipynb", to="away/x.ipynb")[0] in (400, 404)


def test_a_run_is_a_name_and_never_a_path(ask: Any) -> None:
    for run in HOSTILE_RUNS:
        for method, *more in (("GET",), ("DELETE",), ("GET", "log"), ("GET", "details"), ("POST", "stop")):
            assert ask(method, "runs", run, *more, path="digits.ipynb")[0] == 404, run
    assert ask("GET", "runs", "r99", path="digits.ipynb")[0] == 404
    for side in ("../../etc/passwd", "/etc/passwd", "n.ipynb", ".nbpipe/runs/r1"):
        assert ask("GET", "diff", path="n.ipynb", a="r1", b=side)[0] == 400, side
    assert ask("GET", "rows", path="", run="../r1") == (200, {"rows": []})
    assert ask("GET", "curves", path="", run="../../x", metric="acc") == (200, {})


def test_what_is_too_large_or_not_understood_is_refused_as_such(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask("POST", "pipeline", path=3)[1]["code"] == "usage"
    assert ask("GET", "runs", path="", limit="many")[0] == 400
    assert ask("GET", "runs", path="", where="__import__('os')")[0] == 400
    assert ask("POST", "runs", path="n.ipynb", params={"lr": "x" * 70_000})[0] == 413
    assert ask("POST", "runs", path="n.ipynb", params={"a=b;c": 1})[1]["code"] == "parameter"
    assert ask("POST", "runs", path="n.ipynb", only="--fresh")[0] == 400
    assert ask("POST", "runs", path="n.ipynb", profile="a\0b")[0] == 400
    monkeypatch.setattr(answering, "LARGEST_BODY", 1000)
    status, answer = ask("POST", "pipeline", path="n.ipynb", content={"x": "y" * 2000})
    assert (status, answer["code"]) == (413, "too-large")


def test_a_get_changes_nothing(ask: Any, folder: Path) -> None:
    def state() -> dict[str, tuple[int, bytes]]:
        """All files but the index, which is a cache."""
        files = (path for path in folder.rglob("*") if path.is_file() and "cache" not in path.parts)
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    before = state()
    for route in ROUTES:
        if route.method == "GET":
            question = {"path": "digits.ipynb", "a": "r1", "b": "r2", "run": "r1", "metric": "acc"}
            assert ask("GET", *url_of(route), **question)[0] == 200, route
    for name in ("pipeline", "plan"):
        assert ask("POST", name, path="n.ipynb")[0] == 200
    assert state() == before


def test_a_server_that_starts_imports_next_to_nothing() -> None:
    """The lab must not start later because of nbpipe."""
    code = "import jupyter_server.serverapp, sys; before = set(sys.modules); import nbpipe.server.extension; "
    code += "print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if not name.startswith("jupyter_server.")}
    assert {name for name in loaded if name.startswith("nbpipe.") and not name.startswith("nbpipe.server")} <= {
        "nbpipe.errors"
    }
    assert len(loaded) < 20, loaded
