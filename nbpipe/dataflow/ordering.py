"""Stages whose cells are apart: allowed only where nothing between them is affected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nbpipe.errors import CycleError
from nbpipe.model import Code, StageCells

if TYPE_CHECKING:
    from nbpipe.dataflow.facts import Facts


def check_order(stages: Sequence[StageCells], whole: Callable[[Code], Facts]) -> None:
    """Raises CycleError where moving a cell up to the first one of its stage would change what it sees.

    `whole` says what the statements of a cell do together.
    """
    for index, stage in enumerate(stages):
        for code in stage.cells[1:]:
            for other in stages[index + 1 :]:
                if other.cells[0].cell > code.cell:
                    break  # the stages are in the order of their first cells
                for theirs in other.cells:
                    if theirs.cell < code.cell:
                        _refuse_conflict(stage, code, other, theirs, whole)


def _refuse_conflict(
    stage: StageCells, code: Code, other: StageCells, theirs: Code, whole: Callable[[Code], Facts]
) -> None:
    mine, their = whole(code), whole(theirs)
    touched, written = {*mine.touched}, {*mine.written}
    shared = ({*their.written} & (touched | written)) | ({*their.touched} & written)
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
