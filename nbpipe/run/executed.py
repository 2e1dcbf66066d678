"""The executed copy of the notebook, from what each stage's job left."""

from __future__ import annotations

from collections.abc import Iterable
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
    imported = set[str]()
    for stage in pipeline.stages:
        outcome = engine.committed.get(stage.name) or engine.failures.get(stage.name)
        if outcome is None:
            continue
        numbers = [code.cell for code in (*pipeline.setup, *stage.cells)]
        executed = _executed(outcome, engine)
        again = [(stream, text) for module, stream, text in outcome.imported if module in imported]
        if again:
            _forget(again, executed[len(pipeline.setup) :])
        imported |= outcome.modules.keys()
        for number, found in zip(numbers, executed, strict=False):
            cells.setdefault(number, found)
    plain = {snippet.cell for snippet in pipeline.snippets if snippet.kind == "param"}
    about = {"run": record.id, "version": pipeline.version, "status": status, "params": record.params}
    write_durably(path, assemble(notebook, cells, plain=plain, about=about))


def _forget(pieces: Iterable[tuple[str, str]], cells: list[dict[str, Any]]) -> None:
    """Take out what imports printed that in one kernel print once, above. `pieces`: streams and texts, in order."""
    streams = [out for cell in cells for out in cell["outputs"] if out["output_type"] == "stream"]
    for name, text in pieces:
        out = next((out for out in streams if out["name"] == name and text in out["text"]), None)
        if out is not None:
            out["text"] = out["text"].replace(text, "", 1)
    for cell in cells:
        kept = [place for place, out in enumerate(cell["outputs"]) if out["output_type"] != "stream" or out["text"]]
        cell["outputs"] = [cell["outputs"][place] for place in kept]
        for name, places in cell.get("displays", {}).items():
            cell["displays"][name] = [kept.index(place) for place in places]


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
