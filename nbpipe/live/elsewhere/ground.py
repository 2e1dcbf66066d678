"""The notebook as this kernel ran it, with the cell that is to run elsewhere as its last: what that cell needs, and its key."""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from nbpipe.errors import NotebookError, PipelineError
from nbpipe.model import Code, Notebook, Outline, Pipeline, Stage, StageCells
from nbpipe.notebook.reader import parse_notebook, read_notebook
from nbpipe.notebook.stages import outline
from nbpipe.pipeline.codec import stamped
from nbpipe.pipeline.extract import extract_outline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nbpipe.live.executions import Execution

_CODE = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)
_REMARK = "What the cell below reads comes from the kernel in which it was run."


class Ground(NamedTuple):
    """What a cell stands on."""

    notebook: Notebook
    #: The stages above it that ran here, then its own, which is the last.
    pipeline: Pipeline
    #: Names that it may bind or change, definitions left out: what the kernel waits for.
    gives: tuple[str, ...]

    @property
    def stage(self) -> Stage:
        """The stage that the cell is."""
        return self.pipeline.stages[-1]


def ground(
    before: Sequence[Execution],
    cell: Execution,
    path: Path,
    names: Mapping[str, Any],
    observed: Callable[[str], dict[str, Any]],
    *,
    given: Sequence[str] = (),
) -> Ground:
    """What `cell` stands on, in a kernel that has run `before` and has `names`. Runs no code.

    `given` are names of values that are to be taken from the kernel, whatever the cells say.

    `path` is the notebook's, whether or not there is such a file. The keys of its stages are those of a run, as long as
    the notebook says the same. Raises PipelineError for what a run would refuse too, but not for values that only
    exploration has computed: they are there.
    """
    notebook = _notebook([*_last_versions(before, cell), cell.source], path)
    found = _alone(outline(notebook), cell.name)
    pipeline, given = _extracted(found, path.parent, cell.name, names, observed, given=given)
    # What may be read of it later is what a later cell that names it would read: the analysis knows best what that is.
    reads = list(pipeline.stages[-1].flow.writes)
    whole, _ = _extracted(found, path.parent, cell.name, names, observed, given=given, later=reads)
    own = next(stage for stage in whole.stages if stage.name == cell.name)
    above = whole.stages[: whole.stages.index(own)]
    alone = msgspec.structs.replace(own, flow=msgspec.structs.replace(own.flow, outputs=()))
    kept = {stage.name for stage in (*above, own)}
    edges = tuple(edge for edge in whole.edges if {edge.source, edge.target} <= kept)
    whole = msgspec.structs.replace(whole, stages=(*above, alone), edges=edges, mergeable=False)
    return Ground(notebook, stamped(whole), own.flow.outputs)


def _last_versions(before: Sequence[Execution], cell: Execution) -> list[str]:
    """Cells that ran, each as it ran last, in the order of those last times; without earlier versions of `cell`."""
    sources: dict[tuple[str, ...], str] = {}
    for done in before:
        if not done.ok or _same(done, cell):
            continue
        key = (done.cell,) if done.cell else (done.role, done.name) if done.name else (done.source,)
        sources.pop(key, None)
        sources[key] = done.source
    return list(sources.values())


def _same(done: Execution, cell: Execution) -> bool:
    if done.cell and cell.cell:
        return done.cell == cell.cell
    return (done.role, done.name) == (cell.role, cell.name)


def _notebook(sources: list[str], path: Path) -> Notebook:
    """The cells as a notebook; the last but one is a remark, whose number stands for the kernel."""
    try:
        metadata = {"kernelspec": read_notebook(path).metadata.get("kernelspec") or {}}
    except NotebookError:
        metadata = {}
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"ran-{n}",
            "metadata": {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for n, source in enumerate(sources, 1)
    ]
    cells.insert(-1, {"cell_type": "markdown", "id": "kernel", "metadata": {}, "source": _REMARK})
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
    data = json.dumps(content, ensure_ascii=True).encode()
    return parse_notebook(data, str(path.with_suffix(".ipynb")))


def _alone(found: Outline, name: str) -> Outline:
    """The outline with the last cell as a stage of its own; other cells of its stage come before it, like any stage."""
    own = next(stage for stage in found.stages if stage.name == name)
    others = tuple(stage for stage in found.stages if stage is not own)
    last = msgspec.structs.replace(own, cells=own.cells[-1:])
    if own.cells[:-1]:
        first = StageCells(name=_unused("before", found), kind="stage", cells=own.cells[:-1])
        others = tuple(sorted((*others, first), key=lambda stage: stage.cells[0].cell))
    return msgspec.structs.replace(found, stages=(*others, last))


def _unused(name: str, found: Outline) -> str:
    taken = {stage.name for stage in found.stages}
    return next(word for word in (name, *(f"{name}-{n}" for n in range(2, 1000))) if word not in taken)


def _extracted(
    found: Outline,
    folder: Path,
    name: str,
    names: Mapping[str, Any],
    observed: Callable[[str], dict[str, Any]],
    *,
    given: Sequence[str] = (),
    later: Sequence[str] = (),
) -> tuple[Pipeline, list[str]]:
    """The pipeline, and the names of values that nothing in it gives: they are in the kernel."""
    given, later = list(given), list(later)
    while True:
        try:
            return extract_outline(_with(found, given, later), folder, observed=observed), given
        except PipelineError as error:
            missing = (error.name or "") if error.code == "undefined-name" else ""
            others = {stage.name for stage in found.stages} - {name}
            if error.stage in others:
                # It cannot be made from this notebook any more; its definitions are in the kernel all the same.
                found = _explored(found, error.stage)
            elif missing in later:
                later.remove(missing)
            elif error.stage == name and missing in names and not isinstance(names[missing], _CODE):
                given.append(missing)
            else:
                raise


def _with(found: Outline, given: list[str], later: list[str]) -> Outline:
    """With a stage above the last that binds what is `given`, and one below that reads what is read `later`."""
    stages = list(found.stages)
    last = stages[-1].cells[-1].cell
    if given or len(stages) == 1:
        # Analysed, and never run: it stands for the kernel.
        body = "\n".join(f"{name} = object()" for name in given if name.isidentifier()) or "pass"
        own = StageCells(name=_unused("kernel", found), kind="stage", cells=(Code(cell=last - 1, body=body),))
        stages.insert(-1, own)
    if later:
        body = "\n".join(name for name in later if name.isidentifier())
        stages.append(StageCells(name=_unused("later", found), kind="stage", cells=(Code(cell=last + 1, body=body),)))
    return msgspec.structs.replace(found, stages=tuple(stages))


def _explored(found: Outline, name: str | None) -> Outline:
    gone = next(stage for stage in found.stages if stage.name == name)
    kept = tuple(
        msgspec.structs.replace(
            stage,
            options=msgspec.structs.replace(
                stage.options, after=tuple(word for word in stage.options.after if word != name)
            ),
        )
        for stage in found.stages
        if stage is not gone
    )
    explored = tuple(sorted((*found.exploration, *gone.cells), key=lambda code: code.cell))
    return msgspec.structs.replace(found, stages=kept, exploration=explored)
