"""Questions about past runs, answered from their journals. Never loads a value, never writes a run."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from nbpipe.errors import UsageError
from nbpipe.history.index import Entry, read_index, write_index
from nbpipe.history.summary import RunSummary, summarize
from nbpipe.run import record as records
from nbpipe.run.journal import JOURNAL, read
from nbpipe.run.project import Project
from nbpipe.run.state import RunState, replay

__all__ = ["RunDetail", "RunSummary", "detail", "find_run", "runs"]

_RUN = re.compile(r"r[1-9][0-9]{0,8}")
#: Journals that may be read again each time before the index is written anew.
_SLACK = 20
#: Seconds in which a new run may not have written its record yet.
_YOUNG = 60.0
LATEST = "latest"

Alive = Callable[[Path], bool]


def is_alive(folder: Path) -> bool:
    """Whether the process that drives the run of this folder lives."""
    record = records.read(folder)
    if record is not None:
        return records.is_alive(record)
    try:
        return time.time() - folder.stat().st_mtime < _YOUNG
    except OSError:
        return False


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
    status: str | None = None,
    limit: int | None = None,
    alive: Alive = is_alive,
) -> list[RunSummary]:
    """Runs of the project, newest first. A run that nobody works on any more is `interrupted`.

    `notebook` is a path, or the name of a pipeline. `alive(folder)` says whether the run's orchestrator still lives.
    """
    found: list[RunSummary] = []
    if limit is not None and limit <= 0:
        return found
    wanted = _matcher(project, notebook)
    for summary in _all(project, alive, few=notebook is None and status is None and limit is not None):
        if wanted(summary) and (status is None or summary.status == status):
            found.append(summary)
            if limit is not None and len(found) == limit:
                break
    return found


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
    state = _state(folder, alive)
    return RunDetail(
        summary=summarize(run, state), state=state, folder=folder, executed=executed_copy(project, folder, state)
    )


def executed_copy(project: Project, folder: Path, state: RunState) -> Path | None:
    """The executed copy of the notebook: the one the run recorded, or the one that lies in its folder."""
    record = records.read(folder)
    names = [project.root / record.executed] if record is not None and record.executed else []
    names += [folder / f"{Path(state.notebook).stem}.ipynb"] if state.notebook else []
    return next((path for path in names if path.is_file()), None)


def _all(project: Project, alive: Alive, *, few: bool) -> Iterator[RunSummary]:
    """Every run, newest first; `few`: the caller takes only the first ones, reading the index would take longer."""
    folders = _folders(project)
    path = project.state / "cache" / "history.json"
    index = {} if few else read_index(path)
    fresh = 0
    for run, inode in folders:
        entry = index.get(run)
        if entry is not None and entry.inode == inode:
            yield entry.summary
            continue
        summary = _read(project, run, alive)
        if summary.finished:
            index[run] = Entry(inode, summary)
            fresh += 1
        yield summary
    known = dict(folders)
    if fresh > _SLACK and not few:
        write_index(path, {run: entry for run, entry in index.items() if known.get(run) == entry.inode})


def _read(project: Project, run: str, alive: Alive) -> RunSummary:
    return summarize(run, _state(project.runs / run, alive))


def _state(folder: Path, alive: Alive) -> RunState:
    """What the journal says; a run without an end that nobody drives is interrupted."""
    state = replay(read(folder / JOURNAL))
    if state.status != "running" or alive(folder):
        return state
    # It may have ended between the two looks.
    state = replay(read(folder / JOURNAL))
    return ended(state) if state.status == "running" else state


def _folders(project: Project) -> list[tuple[str, int]]:
    """Runs and the inodes of their folders, newest first; the inode comes with the listing, no file is touched."""
    try:
        with os.scandir(project.runs) as entries:
            found = [(entry.name, entry.inode()) for entry in entries if _RUN.fullmatch(entry.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=lambda item: int(item[0][1:]), reverse=True)


def _matcher(project: Project, notebook: Path | str | None) -> Callable[[RunSummary], bool]:
    if notebook is None:
        return lambda _: True
    path = Path(notebook)
    resolved = str(path.resolve())
    root = project.root.resolve()

    def matches(summary: RunSummary) -> bool:
        return summary.name == str(notebook) or os.path.normpath(root / summary.notebook) == resolved

    return matches


def ended(state: RunState) -> RunState:
    """The same run, told by somebody who knows that nobody works on it any more."""
    stages = tuple(
        msgspec.structs.replace(stage, status="cancelled") if stage.status == "running" else stage
        for stage in state.stages
    )
    return msgspec.structs.replace(state, status="interrupted", stages=stages)
