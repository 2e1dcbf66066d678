"""Answers about a notebook as it stands in the editor, or on the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from nbpipe.errors import NotebookError
from nbpipe.model import Notebook
from nbpipe.notebook.reader import parse_notebook, read_notebook
from nbpipe.server.asking import Draft, ExportQuestion, PlanQuestion, StartQuestion
from nbpipe.server.desk import Desk
from nbpipe.server.places import Place
from nbpipe.server.refusals import Refused
from nbpipe.ui.pipelines import PipelineView, PlanView, SuggestView

Q = TypeVar("Q")

#: Most cells, and characters of code, that are analysed.
MOST_CELLS = 5_000
MOST_CODE = 5_000_000


@dataclass(frozen=True, slots=True)
class Asked(Generic[Q]):
    """A question whose path was looked at."""

    desk: Desk
    place: Place
    question: Q
    #: Id of the run that the URL names.
    run: str = ""


def pipeline(asked: Asked[Draft]) -> PipelineView:
    """The graph, the form and the problems. A file that is no notebook is a problem, too."""
    from nbpipe.check.findings import finding_of
    from nbpipe.ui.notebooks import pipeline_view, unreadable_view

    place = asked.place
    try:
        notebook = notebook_of(asked)
    except NotebookError as error:
        error.message, error.name = place.told(error.message), place.path
        return unreadable_view(place.file.stem, finding_of(error))
    # In messages it has the name that the lab gives it.
    notebook = msgspec.structs.replace(notebook, path=place.path)
    return pipeline_view(notebook, place.folder, place.project)


def plan(asked: Asked[PlanQuestion]) -> PlanView:
    """What a run would do. Raises NbpipeError where there would be no run."""
    from nbpipe.run.planning import plan_pipeline
    from nbpipe.ui.plans import plan_view

    question = asked.question
    planned = plan_pipeline(
        notebook_of(asked),
        params=question.params,
        params_from=question.params_from,
        profile=question.profile,
        only=one_stage(question.only),
        from_=question.from_,
        until=question.until,
        fresh=question.fresh,
        seed=question.seed,
    )
    return plan_view(planned.plan, planned.pipeline, planned.up_to_date)


def suggest(asked: Asked[Draft]) -> SuggestView:
    """Stages for a notebook that has none. Raises NbpipeError where there is nothing to suggest."""
    from nbpipe.suggest.api import suggest as suggestion_for
    from nbpipe.ui.plans import suggest_view

    notebook = notebook_of(asked)
    place = asked.place
    return suggest_view(suggestion_for(notebook), notebook, place.folder, place.project)


def brings_content(question: Draft | PlanQuestion | ExportQuestion | StartQuestion) -> bool:
    """Whether the question says how the notebook stands in the editor."""
    return bytes(question.content) not in (b"", b"null")


def notebook_of(
    asked: Asked[Draft] | Asked[PlanQuestion] | Asked[ExportQuestion] | Asked[StartQuestion],
) -> Notebook:
    """The notebook that the question brings, else the one on the disk. Raises NotebookError."""
    content, file = bytes(asked.question.content), asked.place.file
    if not brings_content(asked.question):
        return _bounded(read_notebook(file), asked.place)
    if content.startswith(b'"'):  # a text notebook that is edited as text
        return _bounded(parse_notebook(msgspec.json.decode(content, type=str).encode(), str(file)), asked.place)
    parsed = parse_notebook(content, str(file.with_suffix(".ipynb")))
    return _bounded(msgspec.structs.replace(parsed, path=str(file)), asked.place)


def _bounded(notebook: Notebook, place: Place) -> Notebook:
    """The notebook, if it is small enough to be analysed while somebody waits."""
    size = sum(len(cell.source) for cell in notebook.cells)
    if len(notebook.cells) > MOST_CELLS or size > MOST_CODE:
        raise NotebookError(
            f"{place.path} has {len(notebook.cells)} cells with {size} characters: too much to be analysed here",
            name=place.path,
            fix=f"Split it: {MOST_CELLS} cells and {MOST_CODE} characters are the most. nbpipe run takes it as it is.",
        )
    return notebook


def one_stage(only: str | list[str] | None) -> str | None:
    """`only` may come as a list of one. Raises Refused for several."""
    if isinstance(only, list):
        if len(only) > 1:
            raise Refused(400, "usage", "`only` names one stage", fix="Use from and until for several.")
        return only[0] if only else None
    return only
