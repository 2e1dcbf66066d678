"""The executed copy of the notebook, from what each stage's job left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nbpipe.errors import StoreError
from nbpipe.job.folder import write_durably
from nbpipe.model import Notebook, Outcome, Pipeline
from nbpipe.run.assemble import assemble
from nbpipe.run.record import Record

if TYPE_CHECKING:
    from nbpipe.run.engine import Engine


def write_executed(
    path: Path, notebook: Notebook, pipeline: Pipeline, engine: Engine, record: Record, status: str
) -> None:
    """Write the executed copy to `path`. Raises OSError."""
    cells: dict[int, dict[str, Any]] = {}
    for stage in pipeline.stages:
        outcome = engine.committed.get(stage.name) or engine.failures.get(stage.name)
        if outcome is None:
            continue
        numbers = [code.cell for code in (*pipeline.setup, *stage.cells)]
        for number, found in zip(numbers, _executed(outcome, engine), strict=False):
            cells.setdefault(number, found)
    plain = {snippet.cell for snippet in pipeline.snippets if snippet.kind == "param"}
    about = {"run": record.id, "version": pipeline.version, "status": status, "params": record.params}
    write_durably(path, assemble(notebook, cells, plain=plain, about=about))


def _executed(outcome: Outcome, engine: Engine) -> list[dict[str, Any]]:
    """Cells in the order in which they ran: setup, then the stage's own; by position, a cached result may be older."""
    if not outcome.executed:
        return []
    try:
        data = engine.place.store.objects.get_bytes(outcome.executed)
    except StoreError:
        return []
    found: list[dict[str, Any]] = msgspec.json.decode(data)
    return found
