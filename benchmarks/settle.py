"""Puts results into the store as if a notebook had run."""

from __future__ import annotations

from pathlib import Path

from nbpipe.model import Outcome, Trace
from nbpipe.pipeline.extract import extract
from nbpipe.pipeline.index import index_of
from nbpipe.plan.resolve import wanted
from nbpipe.plan.settled import Settled
from nbpipe.store import open_store


def settle(path: Path) -> None:
    """Put a result of every stage into the store, as if it had run."""
    store = open_store(path.parent / ".nbpipe" / "store")
    pipeline = extract(path)
    committed = Settled(index_of(pipeline))
    for stage in pipeline.stages:
        target = wanted(pipeline, stage.name, committed, {})
        if target is None:
            raise RuntimeError(stage.name)
        outputs = {name: store.save_values({name: 1}, stage=stage.name)[name] for name in stage.flow.outputs}
        outcome = Outcome(stage=stage.name, attempt=1, token="", status="succeeded", outputs=outputs)
        store.traces.commit(Trace(key=target.key, stage=stage.name, parts=target.parts, outcome=outcome, run="r1"))
        committed.add(stage.name, outcome)
