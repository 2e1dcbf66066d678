"""`nbpipe.history()` and `nbpipe.diff(a, b)`: the views of a notebook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbpipe.history.search import Query
from nbpipe.run.project import find_project
from nbpipe.ui.bundle import require_bundle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbpipe.ui.widget import DiffView, History


def history(
    text: str = "",
    *,
    notebook: str | Path = "",
    status: str | Sequence[str] = (),
    where: str | Sequence[str] = (),
    sort: str = "",
    trials: bool = False,
    project: str | Path = ".",
) -> History:
    """The runs of this project in a table that searches, filters, sorts, and compares runs.

    The arguments set what it begins with: words that have to stand in a row, a notebook, statuses, conditions such as
    `"acc > 0.9"`, what to sort by, whether trials are shown too. `.selected` is the list of the runs that are checked,
    `.runs` a DataFrame of those the table finds. `project` is a folder or notebook inside the project.
    """
    require_bundle()
    from nbpipe.ui.widget import History

    query: dict[str, Any] = {"text": text, "notebook": str(notebook), "statuses": _several(status)}
    query |= {"where": _several(where), "sort": sort, "kinds": ("run", "trial") if trials else ("run",)}
    return History(find_project(Path(project)), Query(**query))


def diff(a: str, b: str, *, project: str | Path = ".") -> DiffView:
    """What changed between two runs (`"r41"`, `"latest"`), trials (`"t12"`), or one of them and `"now"`.

    `.diff` has the same as data. Raises `UsageError` for a side that is not there.
    """
    require_bundle()
    from nbpipe.ui.widget import DiffView

    return DiffView(find_project(Path(project)), a, b)


def _several(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
