"""The MLflow run above the runs of a sweep: its trials are shown as one study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nbpipe.tracking.notes import read_notes

if TYPE_CHECKING:
    from nbpipe.tracking.projection import Projection

_JOURNAL = "journal.jsonl"


def below_sweep(shown: Projection, run_dir: Path, project_id: str, *, ended: float) -> dict[str, str]:
    """Tags that put a run below that of its sweep, which is made if it is not there; none for a run of no sweep."""
    name = read_notes(run_dir).tags.get("sweep", "")
    journal = run_dir.resolve().parents[1] / "sweeps" / name / _JOURNAL
    # People may tag what they like: a sweep is one that has a journal.
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum() or not journal.is_file():
        return {}
    started = _started(journal)
    identity = {"nbpipe.kind": "sweep", "nbpipe.sweep": name, "nbpipe.project": project_id}
    parent = shown.run(f"sweep {name}", identity | {"nbpipe.created": f"{started:.6f}"}, {}, started=started)
    shown.end(parent, "succeeded", ended)
    return {"mlflow.parentRunId": parent}


def _started(journal: Path) -> float:
    """When the sweep began: with its name it tells it from one that was there before."""
    import msgspec

    from nbpipe.model import Event

    with journal.open("rb") as lines:
        return msgspec.json.decode(lines.readline(), type=Event).time
