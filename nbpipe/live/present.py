"""The notebook as it is now, for a kernel that looks at its own stages: the file where it is known, else what ran here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from nbpipe.errors import NotebookError, PipelineError
from nbpipe.live.transform import read_cell
from nbpipe.model import Cell, Notebook, Outline, Pipeline
from nbpipe.notebook.reader import parse_notebook, read_notebook
from nbpipe.notebook.stages import outline
from nbpipe.pipeline.extract import extract_outline

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbpipe.live.executions import Execution


class Present(NamedTuple):
    """What can be made of the notebook."""

    #: Of the stages that are sound; None where there are none.
    pipeline: Pipeline | None
    #: Stage -> what is wrong with it.
    broken: dict[str, PipelineError]
    notes: tuple[str, ...]


def present(path: Path | None, executions: Iterable[Execution], folder: Path, content: bytes | None = None) -> Present:
    """The pipeline of the notebook, without the stages that are not sound.

    `content`: the notebook as it stands in an editor, nbformat's JSON, in place of what the file holds.
    """
    notes: tuple[str, ...] = ()
    try:
        if content is not None:
            notebook = parse_notebook(content, str((path or Path("notebook")).with_suffix(".ipynb")))
            folder = path.parent if path is not None else folder
        elif path is None:
            executions = tuple(executions)
            if not any(cell.role in ("stage", "check") for cell in executions):
                return Present(None, {}, ("no stages have run here yet",))
            notebook = seen_notebook(executions)
            notes = ("the notebook's file is not known here: edited, moved and deleted cells cannot be seen",)
        else:
            notebook, folder = read_notebook(path), path.parent
        found = outline(notebook)
    except (NotebookError, PipelineError) as error:
        return Present(None, {}, (*notes, str(error)))
    broken: dict[str, PipelineError] = {}
    while found.stages:
        try:
            return Present(extract_outline(found, folder), broken, notes)
        except PipelineError as error:
            smaller = _without(found, error.stage)
            if error.stage is None or len(smaller.stages) == len(found.stages):
                return Present(None, broken, (*notes, str(error)))
            broken[error.stage] = error
            found = smaller
    return Present(None, broken, notes)


def seen_notebook(executions: Iterable[Execution]) -> Notebook:
    """A notebook made of the cells that ran: of a cell that ran several times the last version, where it ran first."""
    sources: dict[tuple[str, ...], str] = {}
    for cell in executions:
        if not _is_sound(cell.source):
            # It never ran, and everything else did.
            continue
        key = (
            (cell.cell,) if cell.cell else (cell.role, cell.name) if cell.role in ("stage", "check") else (cell.source,)
        )
        sources[key] = cell.source
    cells = (Cell(number=number, kind="code", source=source) for number, source in enumerate(sources.values(), 1))
    return Notebook(path="", sha256="", cells=tuple(cells))


def _is_sound(source: str) -> bool:
    try:
        read_cell(source)
    except PipelineError:
        return False
    return True


def _without(found: Outline, stage: str | None) -> Outline:
    kept = tuple(item for item in found.stages if item.name != stage)
    names = {item.name for item in kept}
    # What waited for it waits no longer.
    kept = tuple(
        msgspec.structs.replace(
            item,
            options=msgspec.structs.replace(
                item.options, after=tuple(name for name in item.options.after if name in names)
            ),
        )
        for item in kept
    )
    return msgspec.structs.replace(found, stages=kept)
