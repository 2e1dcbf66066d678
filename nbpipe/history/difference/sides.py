"""From the word that a person types to the side it names."""

from __future__ import annotations

import re
from pathlib import Path

from nbpipe.errors import UsageError
from nbpipe.history.difference.narrowed import Narrowed
from nbpipe.history.difference.notebook_view import NotebookView
from nbpipe.history.difference.run_view import RunView
from nbpipe.history.difference.trial_view import TrialView
from nbpipe.history.difference.view import View
from nbpipe.history.query import LATEST, find_run
from nbpipe.notebook.reader import TEXT_SUFFIXES
from nbpipe.run.project import Project
from nbpipe.tracking.trial import TRIAL_ID

NOW = "now"
_RUN = re.compile(r"r?[1-9][0-9]*")
_FIX = "Name a run (r41, latest), a trial (t12), `now`, or a notebook's path."


def views(project: Project, a: str, b: str) -> tuple[View, View]:
    """Both sides. `now` is the notebook of the other side. Raises UsageError for what is nothing of the kind."""
    if a == b == NOW:
        raise UsageError("both sides are the notebook as it is now", name=a, fix=_FIX)
    left = None if a == NOW else view(project, a)
    right = None if b == NOW else view(project, b)
    one, other = left or _now(project, right), right or _now(project, left)
    if (one.about.kind == "trial") == (other.about.kind == "trial"):
        return one, other
    return (one, Narrowed(other, one)) if one.about.kind == "trial" else (Narrowed(one, other), other)


def view(project: Project, word: str) -> View:
    """One side, `now` excepted."""
    if word == LATEST or _RUN.fullmatch(word):
        return RunView(project, find_run(project, word))
    if TRIAL_ID.fullmatch(word):
        return TrialView(project, word)
    path = Path(word)
    if path.suffix == ".ipynb" or (path.suffix in TEXT_SUFFIXES and path.is_file()):
        return NotebookView(project, path.resolve(), path.name)
    raise UsageError(f"{word[:60]!r} is nothing that can be compared", name=word[:60], fix=_FIX)


def _now(project: Project, other: View | None) -> NotebookView:
    """The notebook that the other side was made from."""
    notebook = other.about.notebook if other is not None else ""
    path = project.root / notebook
    if not notebook or not path.is_file():
        label = other.about.label if other is not None else NOW
        raise UsageError(
            f"the notebook of {label} is not there any more: {notebook or 'it is not known'}",
            name=notebook or label,
            fix="Name the notebook's path instead of `now`.",
        )
    return NotebookView(project, path, NOW)
