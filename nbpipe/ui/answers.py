"""What the front-end asks, answered from the history of one project. The widget and the server share it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from nbpipe.errors import NbpipeError, UsageError
from nbpipe.history.search import Query, search
from nbpipe.run.project import Project
from nbpipe.ui.rows import run_row
from nbpipe.ui.views import PageView, Problem, Request, RunRow

#: Most rows of a page, and most runs of one request.
PAGE = 200
RUNS = 60
_RUN = re.compile(r"[A-Za-z0-9@]{1,64}")


class Answers:
    """Answers requests; each by itself, from any thread. Never raises for what a front-end may send."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._known: dict[str, Callable[[dict[str, Any]], Any]] = {"page": self._page, "rows": self._rows}

    def answer(self, content: object) -> dict[str, Any] | None:
        """`{"id", "ok"}` or `{"id", "error"}`; None for a message that is no request of these kinds."""
        try:
            request = msgspec.convert(content, Request)
        except msgspec.ValidationError:
            return None
        if request.kind not in self._known:
            return None
        try:
            found = self._known[request.kind](request.body)
        except NbpipeError as error:
            problem = Problem(code=error.code, message=error.message, fix=error.fix or "")
            return {"id": request.id, "error": msgspec.to_builtins(problem)}
        except msgspec.ValidationError as error:
            problem = Problem(code=UsageError.code, message=f"not a question that can be asked: {error}")
            return {"id": request.id, "error": msgspec.to_builtins(problem)}
        return {"id": request.id, "ok": msgspec.to_builtins(found)}

    def page(self, query: Query) -> PageView:
        """A page of the history; at most `PAGE` rows. Raises `UsageError` for a condition that does not parse."""
        limit = PAGE if query.limit is None else min(query.limit, PAGE)
        found = search(self.project, msgspec.structs.replace(query, limit=limit))
        return PageView(
            rows=tuple(map(run_row, found.rows)),
            total=found.total,
            offset=found.offset,
            params=found.params,
            metrics=found.metrics,
            tags=found.tags,
            unknown=found.unknown,
            problems=found.problems,
        )

    def rows(self, runs: list[str]) -> list[RunRow]:
        """Rows of these runs or trials, in this order; one that is not there is left out."""
        found: list[RunRow] = []
        for run in runs[:RUNS]:
            if _RUN.fullmatch(run):
                found += map(run_row, search(self.project, Query(where=(f'run = "{run}"',), kinds=(), limit=1)).rows)
        return found

    def _page(self, body: dict[str, Any]) -> PageView:
        return self.page(msgspec.convert(body, Query))

    def _rows(self, body: dict[str, Any]) -> list[RunRow]:
        return self.rows(msgspec.convert(body.get("runs", []), list[str]))
