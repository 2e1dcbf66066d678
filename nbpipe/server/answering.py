"""From a request that was let through to its answer: the question, the file it is about, the work in a thread."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from nbpipe.errors import NbpipeError
from nbpipe.server.asking import Nothing, from_body, from_query
from nbpipe.server.desk import Desk
from nbpipe.server.notebooks import Asked
from nbpipe.server.places import place_of
from nbpipe.server.refusals import Refused, not_found
from nbpipe.server.routes import Route

if TYPE_CHECKING:
    from nbpipe.server.handler import Handler

#: Largest body, bytes: a notebook with its outputs.
LARGEST_BODY = 32 * 2**20


async def answer_to(handler: Handler, desk: Desk, route: Route, run: str) -> bytes:
    """JSON. Raises NbpipeError for what is refused."""
    body = handler.request.body
    if len(body) > LARGEST_BODY:
        raise Refused(413, "too-large", f"the question has {len(body)} bytes, {LARGEST_BODY} are the most")
    if route.method == "POST":
        question = await desk.work("reading", partial(from_body, route.asks, body))
    else:
        question = from_query(route.asks, partial(handler.get_query_arguments, strip=False))
    if route.asks is Nothing:
        return await desk.work(route.lane, lambda: _encoded(route.answer(question)))
    place = await place_of(
        handler.contents_manager,
        question.path,
        notebook=route.where != "any",
        new=route.where == "draft" and bool(getattr(question, "content", b"")),
    )
    return await desk.work(route.lane, partial(_look_up, route, Asked(desk, place, question, run)))


def _look_up(route: Route, asked: Asked[Any]) -> bytes:
    """The answer, in a thread. Raises NbpipeError, whose message names paths as the lab does."""
    place = asked.place
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
