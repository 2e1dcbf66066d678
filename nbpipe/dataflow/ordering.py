"""Stages whose cells are apart: allowed only where nothing between them is affected."""

from __future__ import annotations

from collections.abc import Sequence

from nbpipe.dataflow.transform import statements
from nbpipe.dataflow.walker import effects
from nbpipe.errors import CycleError
from nbpipe.model import Code, StageCells


def stages(cells: Sequence[StageCells]) -> list[StageCells]:
    """The stages in the order of their first cells. Raises CycleError where moving a cell up would change what it sees."""
    for index, stage in enumerate(cells):
        for code in stage.cells[1:]:
            for other in cells[index + 1 :]:
                between = [theirs for theirs in other.cells if theirs.cell < code.cell]
                for theirs in between:
                    _refuse_conflict(stage, code, other, theirs)
    return list(cells)


def _refuse_conflict(stage: StageCells, code: Code, other: StageCells, theirs: Code) -> None:
    mine, their = effects(statements(code)), effects(statements(theirs))
    shared = (their.written & (mine.touched | mine.written)) | (their.touched & mine.written)
    if not shared and not mine.dynamic and not their.dynamic:
        return
    listed = ", ".join(f"'{name}'" for name in sorted(shared)) or "names that cannot be seen"
    raise CycleError(
        f"{stage.name} → {other.name} → {stage.name}: cell {code.cell} belongs to '{stage.name}', but '{other.name}' "
        f"(cell {theirs.cell}) stands between its cells and shares {listed} with it",
        stage=stage.name,
        cell=code.cell,
        line=code.line,
        name=next(iter(sorted(shared)), None),
        fix="Give the later cell a stage name of its own, or move it next to the others.",
    )
