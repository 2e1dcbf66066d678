"""The notebook of a run in a new file. A file that exists is never written over."""

from __future__ import annotations

from pathlib import Path

from nbpipe.errors import UsageError
from nbpipe.run import record as records
from nbpipe.run.earlier import earlier_state
from nbpipe.run.project import Project


def beside(project: Project, run: str, suffix: str, more: str = "") -> Path:
    """`NOTEBOOK-RUN` and `more` in the notebook's folder, where its modules and data are; in the working directory if that is gone."""
    place = project.root / earlier_state(project, run).notebook
    folder = place.parent if place.parent.is_dir() else Path()
    return folder.resolve() / f"{place.stem}-{run}{more}{suffix}"


def executed_of(project: Project, run: str) -> Path:
    """The notebook of a run with the outputs of the run. Raises UsageError where it left none."""
    record = records.read(project.run_folder(run))
    path = project.root / record.executed if record is not None and record.executed else None
    if path is None or not path.is_file():
        raise UsageError(
            f"{run} left no executed notebook", name=run, fix=f"See what happened to it: nbpipe show {run}"
        )
    return path


def write_new(target: Path, source: Path) -> Path:
    """Copy `source` to `target`, which must not exist. Raises UsageError where it does or cannot be written."""
    data = source.read_bytes()
    try:
        with target.open("xb") as file:
            try:
                file.write(data)
                file.flush()
            except OSError:
                target.unlink()
                raise
    except FileExistsError:
        raise UsageError(
            f"{target} exists, and is not written over", name=str(target), fix="Name another file: -o FILE"
        ) from None
    except OSError as error:
        raise UsageError(
            f"{target} cannot be written: {error.strerror or error}", name=str(target), fix="Choose another place."
        ) from None
    return target
