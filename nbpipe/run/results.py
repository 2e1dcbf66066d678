"""Earlier results, as a run or a plan asks for them: the store is not read twice for the same answer."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from blake3 import blake3

from nbpipe.model import Trace
from nbpipe.plan.planner import Unkept
from nbpipe.store import Store

#: Results looked through, newest first, for the latest of each stage. It serves reasons and estimates only.
_MOST = 2000


class Results:
    """The store's traces; those of other pipelines are reused, but say nothing of why this one's stage has to run.

    The newest of each stage is found in one pass over them, which goes only as far as needed.
    """

    def __init__(self, store: Store, pipeline: str) -> None:
        self._store = store
        self._pipeline = pipeline
        self._latest: dict[str, Trace] = {}
        self._rest: Iterator[Trace] | None = None
        self._seen = 0

    def lookup(self, key: str, problems: list[str] | None = None) -> list[Trace]:
        """Sound traces under a key, newest first."""
        return self._store.traces.lookup(key, problems)

    def unkept(self, stage: str) -> Unkept | None:
        """The last result of the pipeline's stage where that was not kept; None where it was, or nothing is known."""
        found = self._store.hints.observed(_about(self._pipeline, stage)).get("unkept")
        return msgspec.convert(found, Unkept) if isinstance(found, dict) else None

    def latest(self, stage: str, problems: list[str] | None = None) -> Trace | None:
        """The newest trace of the pipeline's stage, as of the first question; None if the newest 2000 of all stages hold none."""
        if self._rest is None:
            self._rest = self._store.traces.all(problems)
        while stage not in self._latest and self._seen < _MOST:
            trace = next(self._rest, None)
            if trace is None:
                break
            self._seen += 1
            if trace.pipeline in {"", self._pipeline}:
                self._latest.setdefault(trace.stage, trace)
        return self._latest.get(stage)


def note_unkept(store: Store, trace: Trace) -> None:
    """Remember the result if it is not to be kept, and why; one that is takes the place of what was remembered."""
    about = _about(trace.pipeline, trace.stage)
    if trace.outcome.uncacheable:
        why, took = trace.outcome.uncacheable[0], trace.outcome.seconds.get("total")
        last = Unkept(why=why, created=trace.created, parts=trace.parts, took=took)
        store.hints.remember(about, {"unkept": msgspec.to_builtins(last)})
    elif store.hints.observed(about):
        store.hints.remember(about, {})


def _about(pipeline: str, stage: str) -> str:
    return blake3(msgspec.json.encode(["unkept", pipeline, stage])).hexdigest()
