"""What the cells that ran did to names: who bound one for sure, who may have changed it, which definition it was."""

from __future__ import annotations

import ast
import functools
from typing import TYPE_CHECKING

from nbpipe.dataflow.transform import parse
from nbpipe.dataflow.walker import statement_effects
from nbpipe.errors import PipelineError
from nbpipe.live.names import effects_of
from nbpipe.pipeline.code import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbpipe.live.executions import Execution
    from nbpipe.model import Pipeline


@functools.lru_cache(maxsize=4096)
def defined_in(body: str) -> Mapping[str, str]:
    """Name -> what the last top-level statement that binds it says of it: its fingerprint, or what is imported."""
    try:
        nodes = parse(body).body
    except PipelineError:
        return {}
    found: dict[str, str] = {}
    for node in nodes:
        said = fingerprint(ast.unparse(node)) if not isinstance(node, (ast.Import, ast.ImportFrom)) else ""
        found |= dict.fromkeys(statement_effects(node).binds, said)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            origin = f"{'.' * node.level}{node.module}" if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                bound = alias.asname or (alias.name if origin else alias.name.partition(".")[0])
                found[bound] = f"{origin} {alias.name if origin or alias.asname else bound}"
    return found


class Evidence:
    """The executions of one kernel, asked about names. Pure: it looks at code, never at values."""

    def __init__(self, pipeline: Pipeline, executions: Iterable[Execution], renamed: Mapping[str, str]) -> None:
        self.cells = tuple(cell for cell in executions if cell.ok is not None)
        self._renamed = renamed
        self._flows = {
            (stage.name, fingerprint(code.body)): frozenset(stage.flow.writes)
            for stage in pipeline.stages
            for code in stage.cells
        }
        self.names = tuple(stage.name for stage in pipeline.stages)

    def stage_of(self, cell: Execution) -> str | None:
        """Name of the stage that ran, as it is called now; None for any other cell."""
        if cell.role not in ("stage", "check"):
            return None
        return self._renamed.get(cell.name, cell.name)

    def runs(self, stage: str) -> list[Execution]:
        """Its executions, oldest first."""
        return [cell for cell in self.cells if self.stage_of(cell) == stage]

    def binds(self, cell: Execution, name: str) -> bool:
        """The cell binds the name at its top level."""
        found = effects_of(cell.body)
        return found is not None and name in (found.binds | found.deletes | found.global_binds)

    def may_change(self, cell: Execution, name: str) -> bool:
        """The cell may have changed what the name stands for in place."""
        found = effects_of(cell.body)
        known = self._flows.get((self.stage_of(cell) or "", cell.code), frozenset())
        return found is None or found.dynamic or name in found.mutates or name in known

    def told(self, cell: Execution) -> str:
        """The cell, as people speak of it."""
        name = self.stage_of(cell)
        if name is not None:
            return f"'{name}'"
        number = f" [{cell.count}]" if cell.count else ""
        return f"the %%{cell.role} cell{number}" if cell.role else f"a cell outside the pipeline{number}"
