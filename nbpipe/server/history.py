"""Answers about runs that were made. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from nbpipe.history.diff import Diff
from nbpipe.history.query import detail
from nbpipe.history.search import Query
from nbpipe.server.asking import About, CurvesQuestion, DiffQuestion, LogQuestion, RowsQuestion, RunsQuestion
from nbpipe.server.notebooks import Asked
from nbpipe.ui.answers import RUNS, Answers
from nbpipe.ui.curves import curves as points
from nbpipe.ui.views import PageView, ProgressView, RunRow

if TYPE_CHECKING:
    from nbpipe.ui.details import RunDetails


def runs(asked: Asked[RunsQuestion]) -> PageView:
    """A page of the history."""
    question, place = asked.question, asked.place
    query = Query(
        text=question.text,
        notebook="" if place.file.is_dir() else str(place.file),
        statuses=tuple(question.status),
        kinds=tuple(question.kind),
        where=tuple(question.where),
        sort=question.sort,
        descending=question.descending,
        offset=question.offset,
        limit=question.limit,
    )
    return Answers(place.project).page(query)


def rows(asked: Asked[RowsQuestion]) -> dict[str, list[RunRow]]:
    """Rows of these runs; what is not there is left out."""
    return {"rows": Answers(asked.place.project).rows(asked.question.run)}


def curves(asked: Asked[CurvesQuestion]) -> Mapping[str, Any]:
    """Points of a metric, by run."""
    return points(asked.place.project, asked.question.run[:RUNS], asked.question.metric)


def diff(asked: Asked[DiffQuestion]) -> Diff:
    """What changed between two sides."""
    question, place = asked.question, asked.place
    # This very notebook, not the one that the other side was made from: it may have another name by now.
    now = "now" if place.file.is_dir() else str(place.file)
    a, b = (now if side == "now" else side for side in (question.a, question.b))
    return Answers(place.project, sides=(now,)).diff(a, b, question.parts, everything=question.everything)


def progress(asked: Asked[About]) -> ProgressView:
    """A run, stage by stage."""
    return Answers(asked.place.project).progress(asked.run)


def details(asked: Asked[About]) -> RunDetails:
    """All that is known of a run."""
    from nbpipe.ui.details import run_details

    place = asked.place
    shown, found = run_details(place.project, asked.run)
    notebook = place.contents_path(found.executed) if found.executed is not None else None
    return msgspec.structs.replace(shown, notebook=notebook)


def models(asked: Asked[About]) -> dict[str, Any]:
    """The registered models of the project. Raises StoreError where the registry does not answer."""
    from nbpipe.tracking.models import open_models
    from nbpipe.ui.models import model_shape

    found = open_models(asked.place.project.root).all()
    return {"schema": 1, "models": [model_shape(model) for model in found]}


def log(asked: Asked[LogQuestion]) -> dict[str, Any]:
    """What a run printed, from an offset on."""
    question = asked.question
    found = detail(asked.place.project, asked.run)
    order = [stage.name for stage in found.state.stages]
    part = asked.desk.logs.read(found.folder, question.stage, order, offset=question.offset, limit=question.limit)
    stages = [stage for stage in found.state.stages if question.stage in (None, stage.name)]
    going = found.state.status == "running" and any(stage.status in ("waiting", "running") for stage in stages)
    return {"text": part.text, "next": part.next, "eof": not part.more and not going}
