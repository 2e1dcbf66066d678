"""Files that the code names plainly and that are not there."""

from __future__ import annotations

import ast
import difflib
import glob
from pathlib import Path

from nbpipe.check.findings import Action, Finding
from nbpipe.check.places import place_of, runs_programs
from nbpipe.check.rewriting import rewritten
from nbpipe.model import Notebook, Pipeline, Stage

_PATTERN = frozenset("*?[")


def missing_files(pipeline: Pipeline, folder: Path, notebook: Notebook) -> list[Finding]:
    """A finding per stage and file that is read, is not there, and that no stage above writes. `folder` is the notebook's.

    None below a shell line or a program, which may make any file, nor where the working directory changes.
    """
    found: list[Finding] = []
    written: list[str] = []
    moved = any("@cwd" in (*stage.flow.ambient_sets, *stage.flow.writes) for stage in pipeline.stages)
    for number, stage in enumerate(pipeline.stages, 1):
        own = (*stage.flow.file_writes, *stage.options.writes)
        for path in dict.fromkeys((*stage.options.reads, *stage.flow.file_reads)) if not moved else ():
            if _is_there(path, folder) or any(_may_be(path, other) for other in (*written, *own)):
                continue
            # Looking through all of the code above takes longer than all the rest.
            if runs_programs([*pipeline.setup, *(code for above in pipeline.stages[:number] for code in above.cells)]):
                return found
            found.append(_finding(path, stage, folder, notebook))
        written += own
    return found


def _finding(path: str, stage: Stage, folder: Path, notebook: Notebook) -> Finding:
    at = place_of(stage.cells, lambda node: isinstance(node, ast.Constant) and node.value == path)
    pattern = bool(_PATTERN & set(path))
    said = "which no file matches" if pattern else "which is not there"
    return Finding(
        severity="warning",
        code="missing-file",
        message=f"reads '{path}', {said}",
        fix="Paths begin in the notebook's folder. Put the file there, or correct the path.",
        cell=at[0] if at is not None else stage.cells[0].cell,
        line=at[1] if at is not None else 1,
        stage=stage.name,
        name=path,
        actions=_corrected(path, at, folder, notebook) if at is not None and not pattern else (),
    )


def _corrected(path: str, at: tuple[int, int], folder: Path, notebook: Notebook) -> tuple[Action, ...]:
    """Write the name of the file beside it that is nearly called so, where there is one."""
    beside = (folder / path).parent
    try:
        names = [item.name for item in beside.iterdir() if item.is_file()]
    except OSError:
        return ()
    name = Path(path).name
    near = difflib.get_close_matches(name, names, 1, 0.75)
    return rewritten(notebook, at, name, near[0], f"Write {near[0]} for {name}") if near else ()


def _is_there(path: str, folder: Path) -> bool:
    """Whether it is there, or cannot be looked for."""
    if "://" in path or "\0" in path or path.startswith("~"):
        return True
    try:
        if _PATTERN & set(path) and not (folder / path).exists():
            return next(glob.iglob(str(folder / path), recursive=True), None) is not None  # noqa: PTH207 - patterns may be absolute
        return (folder / path).exists()
    except OSError:
        return True


def _may_be(path: str, written: str) -> bool:
    """The file may be one that this path or pattern stands for, or lie below it."""
    one, other = Path(path), Path(written.rstrip("/"))
    return one == other or other in one.parents or one in other.parents or one.match(written)
