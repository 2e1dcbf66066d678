"""Hidden state: cells that were executed in another order than they stand. The notebook shows what no run will give."""

from __future__ import annotations

from nbpipe.check.findings import Action, Finding
from nbpipe.model import Notebook, Outline


def out_of_order(notebook: Notebook, outline: Outline) -> list[Finding]:
    """A finding per cell of the pipeline that was executed before one that stands above it."""
    counts = {cell.number: cell.executed for cell in notebook.cells}
    stages = {code.cell: stage.name for stage in outline.stages for code in stage.cells}
    cells = sorted({code.cell for code in (*outline.params, *outline.setup)} | set(stages))
    found = []
    latest, latest_cell = 0, 0
    for cell in cells:
        count = counts.get(cell)
        if count is None:
            continue
        if count < latest:
            found.append(
                Finding(
                    severity="warning",
                    code="hidden-state",
                    message=f"was executed before cell {latest_cell}, which stands above it",
                    fix="Run it again, or all cells from the top: a run executes them in the order in which they stand.",
                    cell=cell,
                    line=1,
                    stage=stages.get(cell, ""),
                    actions=(Action(kind="run-cell", label=f"Run cell {cell} again", cell=cell),),
                )
            )
        else:
            latest, latest_cell = count, cell
    return found
