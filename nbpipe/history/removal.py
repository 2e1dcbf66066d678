"""Deleting a run: its folder, its row, and what still waits to be told to MLflow. Results in the store stay for `nbpipe gc`."""

from __future__ import annotations

from nbpipe.errors import StoreError, UsageError
from nbpipe.history.alive import Alive, is_alive
from nbpipe.history.state import run_state
from nbpipe.run import record as records
from nbpipe.run.abandoned import nobodys
from nbpipe.run.project import Project
from nbpipe.run.recovery import recover
from nbpipe.store import open_store


def remove_run(project: Project, run: str, *, alive: Alive = is_alive) -> None:
    """Delete the run with this id; the id is not given again. What MLflow was told stays there.

    Raises UsageError where there is no such run or it is still on, StoreError where its folder cannot be deleted.
    """
    folder = project.run_folder(run)
    if alive(folder) and run_state(folder, alive).status == "running":
        raise UsageError(f"{run} is running, and is not deleted", name=run, fix=f"Stop it first: nbpipe stop {run}")
    left = nobodys(folder)
    if left is not None:
        # Its kernels may live on, and its files may be half written.
        recover(project, open_store(left.store or project.store))
    if nobodys(folder) is not None or (records.read(folder) is None and alive(folder)):
        raise UsageError(f"{run} is being settled by another process", name=run, fix="Try again in a moment.")
    try:
        project.discard(run)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(f"{run} cannot be deleted: {reason}", name=run, fix="See who may write there.") from error
