"""What a stage was seen to do, remembered under its code: the next plan has those edges from the start."""

from __future__ import annotations

from nbpipe.model import Outcome, Pipeline, Stage
from nbpipe.plan.key import code_hash
from nbpipe.store import Store


def remember(store: Store, pipeline: Pipeline, stage: Stage, outcome: Outcome) -> None:
    """Keep the facts of an outcome; written only where they are new."""
    facts: dict[str, list[str] | bool] = {
        "outputs": sorted(outcome.observed),
        "reads_files": sorted(state.path for state in outcome.files_read),
        "writes_files": sorted(state.path for state in outcome.files_written),
        "ambient_out": sorted(state.name for state in outcome.ambient if state.artifact is not None),
        "ambient_read": sorted(state.name for state in outcome.ambient if state.read),
    }
    facts |= {
        "folders_found": sorted(outcome.found),
        "folders_left": sorted(outcome.folders),
        "unseen": outcome.unseen,
    }
    facts = {name: found for name, found in facts.items() if found}
    code = code_hash(pipeline, stage)
    if facts != store.hints.observed(code):
        store.hints.remember(code, facts)
