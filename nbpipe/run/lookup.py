"""Is there a result to reuse? And if not, why."""

from __future__ import annotations

from collections.abc import Callable

from nbpipe.model import Pipeline, Stage, Trace
from nbpipe.plan.resolve import Wanted, holds
from nbpipe.store import Store


def decide(
    pipeline: Pipeline, stage: Stage, target: Wanted, store: Store, file_digest: Callable[[str], str]
) -> tuple[Trace | None, tuple[str, ...]]:
    """The newest trace that holds now, or None and the reasons."""
    if stage.options.cache == "never":
        return None, ("--no-cache",)
    problems: list[str] = []
    reasons: list[str] = []
    for trace in store.traces.lookup(target.key, problems):
        reason = holds(trace, target, file_digest)
        if reason is None:
            return trace, ()
        reasons.append(reason)
    return None, tuple(dict.fromkeys([*reasons, *problems])) or ("first run",)
