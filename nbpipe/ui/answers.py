"""What the front-end asks, answered from the history of one project. The widget and the server share it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from nbpipe.errors import NbpipeError, UsageError
from nbpipe.history.diff import Diff, Part, compute
from nbpipe.history.query import detail
from nbpipe.history.search import Query, search
from nbpipe.history.summary import RunSummary
from nbpipe.run.project import Project
from nbpipe.tracking import outbox
from nbpipe.ui.curves import curve_names, curves
from nbpipe.ui.rows import progress_view, run_row
from nbpipe.ui.views import PageView, Problem, ProgressView, Request, RunRow

#: Most rows of a page, and most runs of one request.
PAGE = 200
RUNS = 60
_LOOKED_AT = 3
_NAMED = 5
_RUN = re.compile(r"[A-Za-z0-9@]{1,64}")


class _DiffRequest(msgspec.Struct, frozen=True):
    a: str
    b: str
    parts: list[Part]
    everything: bool = False


class _CurvesRequest(msgspec.Struct, frozen=True):
    runs: list[str]
    metric: str


class Answers:
    """Answers requests; each by itself, from any thread. Never raises for what a front-end may send."""

    def __init__(self, project: Project, sides: Iterable[str] = ()) -> None:
        self.project = project
        self._sides = frozenset(sides)
        self._curved: dict[str, list[str]] = {}
        self._known: dict[str, Callable[[dict[str, Any]], Any]] = {
            "page": lambda body: self.page(msgspec.convert(body, Query)),
            "rows": lambda body: self.rows(msgspec.convert(body.get("runs", []), list[str])),
            "progress": lambda body: self.progress(msgspec.convert(body.get("run", ""), str)),
            "curves": self._curves,
            "diff": self._diff,
        }

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
        # By way of JSON: what it does not have (NaN) becomes null.
        return {"id": request.id, "ok": msgspec.json.decode(msgspec.json.encode(found))}

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
            curves=self._curve_names(found.rows) if found.offset == 0 else (),
            unknown=found.unknown,
            problems=(*found.problems, *(self._undelivered() if found.offset == 0 else ())),
        )

    def _undelivered(self) -> tuple[str, ...]:
        """What MLflow does not have yet, and is to have: in a line."""
        late = outbox.overdue(self.project.root)
        if not late:
            return ()
        names = ", ".join(each.stem for each in late[:_NAMED]) + (" …" if len(late) > _NAMED else "")
        return (f"not in MLflow yet: {names}; it is tried again (.nbpipe/outbox/{outbox.LOG} says why)",)

    def rows(self, runs: list[str]) -> list[RunRow]:
        """Rows of these runs or trials, in this order; one that is not there is left out."""
        found: list[RunRow] = []
        for run in runs[:RUNS]:
            if _RUN.fullmatch(run):
                found += map(run_row, search(self.project, Query(where=(f'run = "{run}"',), kinds=(), limit=1)).rows)
        return found

    def progress(self, run: str) -> ProgressView:
        """A run, stage by stage. Raises `UsageError` where there is none."""
        found = detail(self.project, run)
        return progress_view(found.summary, found.state, time.time())

    def diff(self, a: str, b: str, parts: Sequence[Part], *, everything: bool = False) -> Diff:
        """What changed between two runs or trials. Raises NbpipeError."""
        for side in (a, b):
            # A path would have any file on the disk read: only those that Python code named.
            if not (_RUN.fullmatch(side) or side in self._sides):
                raise UsageError(f"{side[:60]!r} is not a run", name=side[:60])
        return compute(self.project, a, b, parts=parts, everything=everything)

    def _curve_names(self, rows: Sequence[RunSummary]) -> tuple[str, ...]:
        """Of the newest few that have metrics: enough to know which sparklines there are."""
        newest = [row.run for row in rows if row.metrics and row.finished][:_LOOKED_AT]
        for run in newest:
            if run not in self._curved:
                self._curved[run] = curve_names(self.project, run)
        return tuple(dict.fromkeys(name for run in newest for name in self._curved[run]))

    def _diff(self, body: dict[str, Any]) -> Diff:
        asked = msgspec.convert(body, _DiffRequest)
        return self.diff(asked.a, asked.b, asked.parts, everything=asked.everything)

    def _curves(self, body: dict[str, Any]) -> Any:
        asked = msgspec.convert(body, _CurvesRequest)
        return curves(self.project, asked.runs[:RUNS], asked.metric)
