"""Questions about past runs, answered from their journals. Never loads a value, never writes a run."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nbpipe.errors import UsageError
from nbpipe.history.alive import Alive, is_alive
from nbpipe.history.rows import run_row
from nbpipe.history.search import Query, search
from nbpipe.history.state import ended, run_state
from nbpipe.history.summary import RunSummary, Status
from nbpipe.run import record as records
from nbpipe.run.project import Project
from nbpipe.run.state import RunState

__all__ = ["RunDetail", "RunSummary", "detail", "ended", "executed_copy", "find_run", "is_alive", "runs"]

LATEST = "latest"


class RunDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One run with its stages. `executed` is the executed copy of the notebook, where there is one."""

    summary: RunSummary
    state: RunState
    folder: Path
    executed: Path | None = None


def runs(
    project: Project,
    *,
    notebook: Path | str | None = None,
    status: Status | None = None,
    limit: int | None = None,
    alive: Alive = is_alive,
) -> list[RunSummary]:
    """Runs of the project, newest first. A run that nobody works on any more is `interrupted`.

    `notebook` is a path, or the name of a pipeline. `alive(folder)` says whether the run's orchestrator still lives.
    """
    query = Query(
        notebook=str(notebook) if notebook is not None else "",
        statuses=(status,) if status is not None else (),
        limit=max(limit, 0) if limit is not None else None,
    )
    return list(search(project, query, alive=alive).rows)


def find_run(project: Project, word: str) -> str:
    """The id of the run that `word` names: `r43`, `43`, or `latest`. Raises `UsageError`."""
    if word == LATEST:
        newest = next(iter(project.run_ids()), None)
        if newest is None:
            raise UsageError("there are no runs yet", name=word, fix="Start one: nbpipe run NOTEBOOK")
        return newest
    run = f"r{word}" if word.isascii() and word.isdigit() else word
    project.run_folder(run)
    return run


def detail(project: Project, run: str, *, alive: Alive = is_alive) -> RunDetail:
    """All that the journal of `run` (an id) says. Raises `UsageError` where there is no such run."""
    folder = project.run_folder(run)
    state = run_state(folder, alive)
    return RunDetail(
        summary=run_row(folder, state), state=state, folder=folder, executed=executed_copy(project, folder, state)
    )


def executed_copy(project: Project, folder: Path, state: RunState) -> Path | None:
    """The executed copy of the notebook: the one the run recorded, or the one that lies in its folder."""
    record = records.read(folder)
    names = [project.root / record.executed] if record is not None and record.executed else []
    names += [folder / f"{Path(state.notebook).stem}.ipynb"] if state.notebook else []
    return next((path for path in names if path.is_file()), None)
