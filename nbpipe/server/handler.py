"""From a request to an answer: who asks, may they, about which file; then the work in a thread, and JSON back."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from itertools import groupby
from typing import Any, cast

import msgspec
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from nbpipe.errors import NbpipeError
from nbpipe.server.asking import Nothing, from_body, from_query
from nbpipe.server.desk import Desk
from nbpipe.server.notebooks import Asked
from nbpipe.server.places import Place, place_of
from nbpipe.server.refusals import Refused, not_found, status_of
from nbpipe.server.routes import Route

RESOURCE = "nbpipe"
#: Largest body, bytes: a notebook with its outputs.
LARGEST_BODY = 32 * 2**20
_RUN = r"(?P<run>r[1-9][0-9]{0,8})"
_NO_CONTENT = 204


class Handler(APIHandler):
    """Base of all handlers: each path of the table has a class with a method per method there."""

    auth_resource = RESOURCE

    def initialize(self, desk: Desk) -> None:
        """Jupyter gives every handler what was noted with its path."""
        self.desk = desk

    async def respond(self, route: Route, run: str = "") -> None:
        """Answer a request whose user was let through."""
        try:
            answer = await self._answer(route, run)
        except NbpipeError as error:
            self._refuse(status_of(error), error.code, error.message, error.fix or "")
            return
        self.set_status(route.status)
        self.set_header("Cache-Control", "no-store")
        if route.status == _NO_CONTENT:
            await self.finish()
        else:
            await self.finish(answer)

    async def _answer(self, route: Route, run: str) -> bytes:
        body = self.request.body
        if len(body) > LARGEST_BODY:
            raise Refused(413, "too-large", f"the question has {len(body)} bytes, {LARGEST_BODY} are the most")
        if route.method == "POST":
            question = await self.desk.work("reading", partial(from_body, route.asks, body))
        else:
            question = from_query(route.asks, partial(self.get_query_arguments, strip=False))
        if route.asks is Nothing:
            return await self.desk.work(route.lane, lambda: _encoded(route.answer(question)))
        place = await place_of(
            self.contents_manager,
            question.path,
            notebook=route.where != "any",
            new=route.where == "draft" and bool(getattr(question, "content", b"")),
        )
        asked = Asked(self.desk, place, question, run)
        return await self.desk.work(route.lane, partial(_look_up, route, asked))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Errors of Jupyter itself in the shape of all others."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        message = str(getattr(error, "log_message", None) or "") or f"the server answered {status_code}"
        codes = {401: "forbidden", 403: "forbidden", 404: "not-found", 405: "method"}
        self._refuse(status_code, codes.get(status_code, "server" if status_code >= 500 else "usage"), message, "")  # noqa: PLR2004 - HTTP's own

    def _refuse(self, status: int, code: str, message: str, fix: str) -> None:
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish(msgspec.json.encode({"code": code, "message": message, "fix": fix}))


class Unknown(Handler):
    """Below the API, but nothing that is known: a run whose id is none, a resource of another version."""

    @web.authenticated
    def get(self) -> None:
        """Say so, in the shape of all errors: a page would look as if the extension were missing."""
        self._refuse(404, "not-found", "there is no such resource", "")

    post = delete = get


def handlers(routes: Iterable[Route], base_url: str, desk: Desk) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """What the web application is given: a pattern, a class and its arguments for each path."""
    ordered = sorted(routes, key=lambda route: route.path)
    found = []
    for path, several in groupby(ordered, key=lambda route: route.path):
        methods = {route.method.lower(): _method(route) for route in several}
        name = "".join(word.title() for word in re.findall(r"\w+", path))
        pattern = url_path_join(re.escape(base_url), "nbpipe", "api", path.replace("{run}", _RUN))
        found.append((pattern, cast("type[Handler]", type(f"{name}Handler", (Handler,), methods)), {"desk": desk}))
    found.append((url_path_join(re.escape(base_url), "nbpipe", "api", ".*"), Unknown, {"desk": desk}))
    return found


def _method(route: Route) -> Callable[..., Awaitable[None] | None]:
    async def method(self: Handler, run: str = "") -> None:
        await self.respond(route, run)

    checked: Callable[..., Awaitable[None]] = authorized(route.action, resource=RESOURCE)(method)
    return web.authenticated(checked)


def _look_up(route: Route, asked: Asked[Any]) -> bytes:
    """The answer, in a thread. Raises NbpipeError."""
    place: Place = asked.place
    if asked.run and not (place.project.runs / asked.run).is_dir():
        raise not_found(f"there is no run {asked.run}")
    asked.desk.changes.look_at(place.project, place.contents_path(place.project.root) or "")
    try:
        return _encoded(route.answer(asked))
    except NbpipeError as error:
        error.message, error.fix = place.told(error.message), place.told(error.fix or "")
        raise


def _encoded(answer: object) -> bytes:
    return msgspec.json.encode(answer)
