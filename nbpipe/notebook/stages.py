"""A notebook's cells sorted by their role: the outline that the dataflow analysis starts from."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nbpipe.errors import GrammarError, PipelineError
from nbpipe.model import Code, Outline, StageCells
from nbpipe.notebook.grammar import CellRole, parse_cell
from nbpipe.notebook.kale import uses_kale
from nbpipe.notebook.options import build, join
from nbpipe.notebook.quantities import did_you_mean

if TYPE_CHECKING:
    from nbpipe.model import Notebook


@dataclass(slots=True)
class _Stage:
    kind: Literal["stage", "check"]
    cells: list[Code] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Sorted:
    """The cells sorted so far; `last` is where an untagged cell of a Kale notebook goes on."""

    params: list[Code] = field(default_factory=list)
    profiles: dict[str, Code] = field(default_factory=dict)
    setup: list[Code] = field(default_factory=list)
    stages: dict[str, _Stage] = field(default_factory=dict)
    exploration: list[Code] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    last: list[Code] | None = None


def outline(notebook: Notebook) -> Outline:
    """The notebook's cells by role. Markdown and raw cells have none.

    Raises `GrammarError` for a line or tag that does not parse and for cells that contradict each other,
    `PipelineError` where there is no stage or `--after` names none that stands above.
    """
    kale = uses_kale(notebook.cells)
    out = _Sorted()
    for cell in notebook.cells:
        if cell.kind == "code":
            _add(out, parse_cell(cell, kale=kale))
    if not out.stages:
        raise PipelineError(
            f"{notebook.path} has no stages",
            name=notebook.path,
            fix="Write %%stage NAME as the first line of a cell, "
            f"or let `nbpipe suggest {shlex.quote(notebook.path)}` propose stages.",
        )
    stages = tuple(
        StageCells(name=name, kind=stage.kind, cells=tuple(stage.cells), options=build(stage.given))
        for name, stage in out.stages.items()
    )
    _check_after(stages)
    for stage in stages:
        if not any(code.body.strip() for code in stage.cells) and not stage.options.thresholds:
            out.warnings.append(f"{stage.kind} '{stage.name}' has no code (cell {stage.cells[0].cell})")
    nbpipe = notebook.metadata.get("nbpipe")
    return Outline(
        notebook=notebook,
        params=tuple(out.params),
        profiles=out.profiles,
        setup=tuple(out.setup),
        stages=stages,
        exploration=tuple(out.exploration),
        warnings=tuple(out.warnings),
        mergeable=isinstance(nbpipe, dict) and nbpipe.get("mergeable") is True,
    )


def _add(out: _Sorted, cell: CellRole) -> None:
    out.warnings.extend(cell.warnings)
    role = cell.role
    if role == "params":
        out.last = out.params
    elif role == "profile":
        if cell.name in out.profiles:
            first = out.profiles[cell.name].cell
            raise _at(cell, f"profile '{cell.name}' is already written in cell {first}", "Put both into one cell.")
        out.profiles[cell.name] = cell.code
        return
    elif role == "setup":
        out.last = out.setup
    elif role in ("stage", "check"):
        out.last = _stage(out, cell).cells
    elif role == "continue":
        if out.last is None:
            out.last = out.setup
        if out.last is out.setup and not out.stages and not out.params and cell.code.body.strip():
            out.warnings.append(
                f"cell {cell.code.cell} has no tag and no step above it: it runs before every step, like imports"
            )
    else:
        if role == "exploration":
            out.exploration.append(cell.code)
        return
    out.last.append(cell.code)


def _stage(out: _Sorted, cell: CellRole) -> _Stage:
    kind: Literal["stage", "check"] = "check" if cell.role == "check" else "stage"
    stage = out.stages.setdefault(cell.name, _Stage(kind))
    if stage.kind != kind:
        raise _at(
            cell,
            f"'{cell.name}' is already the name of the {stage.kind} in cell {stage.cells[0].cell}",
            "Rename one of them.",
        )
    try:
        stage.given = join(stage.given, cell.given)
    except GrammarError as error:
        where = ", ".join(str(code.cell) for code in stage.cells)
        message = f"{error.message}: here and in cell {where} of the same {kind}"
        raise _at(cell, message, error.fix or "") from None
    return stage


def _at(cell: CellRole, message: str, fix: str) -> GrammarError:
    line = cell.code.line - 1 or None
    return GrammarError(message, stage=cell.name, cell=cell.code.cell, line=line, name=cell.name, fix=fix)


def _check_after(stages: tuple[StageCells, ...]) -> None:
    """Cells keep their order, so that `--after` can only name what stands above."""
    names = [stage.name for stage in stages]
    for position, stage in enumerate(stages):
        for other in stage.options.after:
            if other in names[:position]:
                continue
            if other == stage.name:
                message, fix = f"{stage.kind} '{other}' cannot come after itself", f"Take --after {other} off."
            elif other in names:
                message = f"--after {other}: '{other}' stands below, and cells keep the order in which they stand"
                fix = f"Move the cells of '{other}' above this one, or take --after off."
            else:
                message = f"--after {other}: there is no stage or check '{other}'"
                fix = did_you_mean(other, names) or "The names are " + ", ".join(names) + "."
            raise PipelineError(message, stage=stage.name, cell=stage.cells[0].cell, name=other, fix=fix)
