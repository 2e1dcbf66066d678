"""One click for a name that only an exploration cell computes, and for a line that cannot be read."""

from __future__ import annotations

import re

from nbpipe.check.findings import Action
from nbpipe.check.rewriting import rewritten
from nbpipe.errors import GrammarError, NbpipeError, UndefinedNameError
from nbpipe.model import Notebook, Outline
from nbpipe.suggest.look import look_at
from nbpipe.suggest.segments import TITLES

_MEANT = re.compile(r"Did you mean '?([^'?\s]+)'?\?")


def actions_for(error: NbpipeError, notebook: Notebook, outline: Outline | None) -> tuple[Action, ...]:
    """What would take the error away."""
    if isinstance(error, UndefinedNameError) and outline is not None:
        return _tagging(error, outline)
    if isinstance(error, GrammarError) and error.cell is not None:
        return _correcting(error, notebook)
    return ()


def _tagging(error: UndefinedNameError, outline: Outline) -> tuple[Action, ...]:
    """Make the exploration cell above that binds the name a stage."""
    above = [code for code in outline.exploration if error.cell is None or code.cell < error.cell]
    for code in reversed(above):
        look = look_at(code.body)
        if error.name in look.binds:
            name = _free(TITLES[look.kind], {stage.name for stage in outline.stages})
            label = f"Make cell {code.cell} the stage '{name}'"
            return (Action(kind="tag-cell", label=label, cell=code.cell, source=f"%%stage {name}"),)
    return ()


def _correcting(error: GrammarError, notebook: Notebook) -> tuple[Action, ...]:
    """Write what was probably meant, or take the cell out of the pipeline."""
    cell = next((each for each in notebook.cells if each.number == error.cell), None)
    if cell is None:
        return ()
    meant = _MEANT.search(error.fix or "")
    actions: list[Action] = []
    if meant and error.name and (error.line or 1) == 1:
        label = f"Write {meant[1]} for {error.name}"
        actions += rewritten(notebook, (cell.number, 1), error.name, meant[1], label)
    if cell.source.startswith("%%"):
        actions.append(Action(kind="untag-cell", label="Take the cell out of the pipeline", cell=cell.number))
    return tuple(actions)


def _free(name: str, taken: set[str]) -> str:
    return (
        name
        if name not in taken
        else next(new for n in range(2, len(taken) + 3) if (new := f"{name}-{n}") not in taken)
    )
