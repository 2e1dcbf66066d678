"""Every route of the server, one a line. What is not here is not answered; the tests walk this table.

Questions and answers are named, and imported when somebody asks: a server that starts reads nothing but this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

Method = Literal["GET", "POST", "DELETE"]
Action = Literal["read", "write", "execute"]
Lane = Literal["reading", "analysing", "acting"]
#: What the path is of: a notebook, one that may not be saved yet, a notebook or folder, or nothing.
Where = Literal["notebook", "draft", "any", "nowhere"]


@dataclass(frozen=True, slots=True)
class Route:
    """One resource and method. `action` is what the user has to be authorised to do on `nbpipe`."""

    method: Method
    path: str
    action: Action
    #: A class of `nbpipe.server.asking`.
    question: str
    #: Module and function below `nbpipe.server`.
    function: str
    lane: Lane = "reading"
    where: Where = "any"
    status: int = 200

    @property
    def asks(self) -> Any:
        """The type of the question."""
        return getattr(import_module("nbpipe.server.asking"), self.question)

    @property
    def answer(self) -> Callable[[Any], object]:
        """What answers it, in a thread."""
        module, _, name = self.function.partition(".")
        found: Callable[[Any], object] = getattr(import_module(f"nbpipe.server.{module}"), name)
        return found


ROUTES: tuple[Route, ...] = (
    Route("GET", "info", "read", "Nothing", "surroundings.info", where="nowhere"),
    Route("POST", "pipeline", "read", "Draft", "notebooks.pipeline", "analysing", "draft"),
    Route("POST", "plan", "read", "PlanQuestion", "notebooks.plan", "analysing", "draft"),
    Route("POST", "suggest", "read", "Draft", "notebooks.suggest", "analysing", "draft"),
    Route("GET", "runs", "read", "RunsQuestion", "history.runs"),
    Route("GET", "rows", "read", "RowsQuestion", "history.rows"),
    Route("GET", "curves", "read", "CurvesQuestion", "history.curves"),
    Route("GET", "diff", "read", "DiffQuestion", "history.diff", "analysing"),
    Route("POST", "runs", "execute", "StartQuestion", "actions.start", "acting", "notebook", 201),
    Route("GET", "runs/{run}", "read", "About", "history.progress"),
    Route("DELETE", "runs/{run}", "write", "About", "actions.delete", "acting", status=204),
    Route("GET", "runs/{run}/details", "read", "About", "history.details"),
    Route("GET", "runs/{run}/log", "read", "LogQuestion", "history.log"),
    Route("POST", "runs/{run}/stop", "execute", "StopQuestion", "actions.stop", "acting", status=202),
    Route("POST", "runs/{run}/release", "execute", "ReleaseQuestion", "actions.release", "acting"),
    Route("POST", "runs/{run}/checkout", "write", "CheckoutQuestion", "actions.checkout", "acting", status=201),
    Route("POST", "runs/{run}/promote", "write", "PromoteQuestion", "actions.promote", "acting"),
    Route("POST", "runs/{run}/tag", "write", "TagQuestion", "actions.tag", "acting"),
    Route("GET", "models", "read", "About", "history.models", "acting"),
    Route("GET", "targets", "read", "About", "surroundings.targets"),
    Route("GET", "exporters", "read", "Nothing", "surroundings.exporters", where="nowhere"),
    Route("POST", "export", "write", "ExportQuestion", "exports.export", "analysing", "draft"),
)
