"""An outcome becomes a result that others may reuse: its objects are durable, now its trace."""

from __future__ import annotations

import time

import msgspec

from nbpipe.model import FileState, Outcome, Pipeline, Trace
from nbpipe.pipeline.contents import digest_file
from nbpipe.run.attempt import Attempt, Place
from nbpipe.run.faults import fault
from nbpipe.run.results import note_unkept
from nbpipe.run.seen import remember


def not_reused(outcome: Outcome) -> tuple[str, ...]:
    """What a run says of a result that is not kept."""
    return tuple(f"{why}: its result is not reused" for why in outcome.uncacheable)


def publish(place: Place, pipeline: Pipeline, attempt: Attempt, outcome: Outcome) -> Trace:
    """The trace of a succeeded attempt. It is in the store unless it cannot be reused, or the lease was lost."""
    known = attempt.wanted.modules
    edited = [path for module, (path, digest) in outcome.modules.items() if known.get(module) != digest]
    if edited:
        reason = f"{edited[0]} was edited while it ran, or is imported in a way that cannot be seen"
        # Where a stage wrote such a source, it is a file like any other: one below must not have written it.
        had = {state.path for state in outcome.files_read}
        read = [FileState(path=path, digest=digest_file(place.project / path)) for path in edited if path not in had]
        outcome = msgspec.structs.replace(
            outcome, uncacheable=(*outcome.uncacheable, reason), files_read=(*outcome.files_read, *read)
        )
    trace = Trace(
        key=attempt.wanted.key,
        stage=attempt.stage.name,
        parts=attempt.wanted.parts,
        outcome=outcome,
        pipeline=pipeline.name,
        run=place.run,
        created=time.time(),
    )
    fault("commit.before_trace")
    if not outcome.uncacheable and attempt.lease is not None and attempt.lease.holds():
        place.store.commit(trace)
    note_unkept(place.store, trace)
    remember(place.store, pipeline, attempt.stage, outcome)
    fault("commit.after_trace")
    return trace
