"""What an earlier run was, for those that repeat it: its parameters, its notebook and its modules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nbpipe.errors import ParameterError, UsageError
from nbpipe.model import Param
from nbpipe.pipeline.bundle import read_bundle
from nbpipe.pipeline.contents import source_digest
from nbpipe.run.journal import JOURNAL, read
from nbpipe.run.project import Project
from nbpipe.run.state import RunState, replay

BUNDLE = "bundle"


def earlier_state(project: Project, run: str) -> RunState:
    """What the journal of a run (an id) says. Raises UsageError where there is no such run, or it never began."""
    state = replay(read(project.run_folder(run) / JOURNAL))
    if not state.id:
        raise UsageError(f"{run} never began", name=run, fix=f"See what happened to it: nbpipe show {run}")
    return state


def given_params(project: Project, run: str, declared: Iterable[Param]) -> Mapping[str, Any]:
    """The values that a run was given, by its profile too. Raises ParameterError for those not `declared` any more."""
    state = earlier_state(project, run)
    values = {name: state.params[name] for name in state.given if name in state.params}
    known = {param.name for param in declared}
    gone = [name for name in values if name not in known]
    if gone:
        raise ParameterError(
            f"{run} was given {', '.join(map(repr, gone))}, which the notebook no longer declares",
            name=gone[0],
            fix=f"Get the notebook of that run: nbpipe checkout {run}",
        )
    return values


def notebook_of(project: Project, run: str) -> Path:
    """The source notebook as a run read it. Raises UsageError where the run left none."""
    found = next(iter(sorted((project.run_folder(run) / BUNDLE).glob("notebook.*"))), None)
    if found is None:
        raise UsageError(
            f"{run} left no copy of its notebook", name=run, fix=f"See what happened to it: nbpipe show {run}"
        )
    return found


def changed_modules(project: Project, run: str) -> dict[str, Path]:
    """Local modules that are not as the run had them: path from the notebook's folder -> the copy in the bundle."""
    bundle = project.run_folder(run) / BUNDLE
    folder = (project.root / earlier_state(project, run).notebook).parent
    found: dict[str, Path] = {}
    for path, digest in sorted(set(read_bundle(bundle).modules.values())):
        now = folder / path
        if not now.is_file() or source_digest(now.read_bytes()) != digest:
            found[path] = bundle / "modules" / (Path(path).name if path.startswith("..") else path)
    return found
