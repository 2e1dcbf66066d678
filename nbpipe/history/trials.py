"""Questions about the trials of a project. Reads the files that kernels left; see `docs/formats/trial.md`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from nbpipe.errors import UsageError
from nbpipe.run.project import Project, relative
from nbpipe.run.renames import Stay, stays
from nbpipe.tracking.trial import TRIAL_ID, Ran, Seen, Trial, TrialError, read_trial

__all__ = ["Ran", "Seen", "Trial", "TrialError", "load_trial", "trial_folder", "trial_ids", "trials"]


def trial_folder(project: Project) -> Path:
    """Where the project's trials lie."""
    return project.state / "trials"


def trial_ids(project: Project) -> list[str]:
    """Ids of all trials that are kept, newest first."""
    try:
        with os.scandir(trial_folder(project)) as entries:
            names = [entry.name.removesuffix(".json") for entry in entries if entry.name.endswith(".json")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted((name for name in names if TRIAL_ID.fullmatch(name)), key=lambda name: int(name[1:]), reverse=True)


def load_trial(project: Project, trial: str) -> Trial:
    """The trial with this id (`t12`, or `latest`). Raises `UsageError` where there is none that can be read."""
    if trial == "latest":
        newest = next(trials_newest_first(project), None)
        if newest is None:
            raise UsageError("there are no trials yet", name=trial, fix="Run a %%stage cell in the notebook.")
        return newest
    if not TRIAL_ID.fullmatch(trial):
        raise UsageError(
            f"{trial[:40]!r} is not a trial", name=trial[:40], fix="Trials are named t1, t2, …: nbpipe trials"
        )
    path = trial_folder(project) / f"{trial}.json"
    found = read_trial(path)
    if found is None:
        what = "cannot be read" if path.exists() else f"is not in {project.root}"
        raise UsageError(f"the trial {trial} {what}", name=trial, fix="List the trials: nbpipe trials")
    return found


def trials(
    project: Project,
    *,
    notebook: Path | str | None = None,
    stage: str | None = None,
    status: str | None = None,
    kernel: str | None = None,
    limit: int | None = None,
) -> list[Trial]:
    """Trials of the project, newest first. `notebook` is a path, or the name of one without its suffix."""
    found: list[Trial] = []
    if limit is not None and limit <= 0:
        return found
    had = stays(project, Path(notebook).resolve()) if notebook is not None else []
    for trial in trials_newest_first(project):
        if stage is not None and trial.stage != stage:
            continue
        if status is not None and trial.status != status:
            continue
        if kernel is not None and trial.kernel != kernel:
            continue
        if notebook is not None and not _is_of(trial, project, str(notebook), had):
            continue
        found.append(trial)
        if len(found) == limit:
            break
    return found


def trials_newest_first(project: Project) -> Iterator[Trial]:
    """Every trial that can be read."""
    folder = trial_folder(project)
    for name in trial_ids(project):
        trial = read_trial(folder / f"{name}.json")
        if trial is not None:
            yield trial


def _is_of(trial: Trial, project: Project, name: str, had: list[Stay]) -> bool:
    if not trial.notebook:
        return False
    if Path(trial.notebook).stem == name:
        return True
    path = relative(project.root / trial.notebook, project.root)
    return any(stay.covers(path, trial.started) for stay in had)
