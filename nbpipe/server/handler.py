"""Who asks, and may they? A class per path, made from the table of routes; errors in one shape."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.escape import json_encode

from nbpipe.errors import NbpipeError
from nbpipe.server.refusals import status_of
from nbpipe.server.routes import Route

if TYPE_CHECKING:
    from nbpipe.server.front import Front

RESOURCE = "nbpipe"
_RUN = r"(?P<run>r[1-9][0-9]{0,8})"
_NO_CONTENT = 204


class Handler(APIHandler):
    """Base of all handlers: each path of the table has a class with a method per method there."""

    auth_resource = RESOURCE

    def initialize(self, front: Front) -> None:
        """Jupyter gives every handler what was noted with its path."""
        self.front = front

    async def respond(self, route: Route, run: str = "") -> None:
        """Answer a request whose user was let through."""
        desk = await self.front.desk()
        from nbpipe.server.answering import answer_to

        try:
            answer = await answer_to(self, desk, route, run)
        except NbpipeError as error:
            self._refuse(status_of(error), error.code, error.message, error.fix or "")
            return
        self.set_status(route.status)
        self.set_header("Cache-Control", "no-store")
        if route.status == _NO_CONTENT:
            await self.finish()
        else:
            await self.finish(answer)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Errors of Jupyter itself in the shape of all others."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        message = str(getattr(error, "log_message", None) or "") or f"the server answered {status_code}"
        codes = {401: "forbidden", 403: "forbidden", 404: "not-found", 405: "method"}
        self._refuse(status_code, codes.get(status_code, "server" if status_code >= 500 else "usage"), message, "")  # noqa: PLR2004 - HTTP's own

    def _refuse(self, status: int, code: str, message: str, fix: str) -> None:
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish(json_encode({"code": code, "message": message, "fix": fix}))


class Unknown(Handler):
    """Below the API, but nothing that is known: a run whose id is none, a resource of another version."""

    @web.authenticated
    def get(self) -> None:
        """Say so, in the shape of all errors: a page would look as if the extension were missing."""
        self._refuse(404, "not-found", "there is no such resource", "")

    post = delete = get


def handlers(routes: Iterable[Route], base_url: str, front: Front) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """What the web application is given: a pattern, a class and its arguments for each path."""
    ordered = sorted(routes, key=lambda route: route.path)
    found = []
    for path, several in groupby(ordered, key=lambda route: route.path):
        methods = {route.method.lower(): _method(route) for route in several}
        name = "".join(word.title() for word in re.findall(r"\w+", path))
        pattern = url_path_join(re.escape(base_url), "nbpipe", "api", path.replace("{run}", _RUN))
        found.append((pattern, cast("type[Handler]", type(f"{name}Handler", (Handler,), methods)), {"front": front}))
    found.append((url_path_join(re.escape(base_url), "nbpipe", "api", ".*"), Unknown, {"front": front}))
    return found


def _method(route: Route) -> Callable[..., Awaitable[None] | None]:
    async def method(self: Handler, run: str = "") -> None:
        await self.respond(route, run)

    checked: Callable[..., Awaitable[None]] = authorized(route.action, resource=RESOURCE)(method)
    return web.authenticated(checked)
