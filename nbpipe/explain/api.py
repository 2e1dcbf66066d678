"""`explain_runs`: from two runs to the parts that the metric's movement falls into."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from nbpipe.errors import UsageError
from nbpipe.explain.attribution import Attribution, Part
from nbpipe.explain.data import data_files
from nbpipe.explain.differences import ORDER, Difference, Group, differences
from nbpipe.explain.hybrid import Hybrid
from nbpipe.explain.remainder import unswappable
from nbpipe.explain.scratch import Workshop
from nbpipe.explain.side import load_side
from nbpipe.explain.trial import Deadline, Measured
from nbpipe.explain.trial import measure as run_trial
from nbpipe.explain.units import match_units
from nbpipe.explain.walk import walk
from nbpipe.model import Event
from nbpipe.run import record as records
from nbpipe.run.project import Project
from nbpipe.store import open_store

#: Seconds, where none are given.
BUDGET = 600.0

__all__ = ["BUDGET", "Attribution", "Difference", "Part", "explain_runs"]


def explain_runs(
    project: Project,
    before: str,
    after: str,
    metric: str,
    *,
    budget: float = BUDGET,
    order: Sequence[Group] = ORDER,
    on_step: Callable[[str], None] = lambda _: None,
    listener: Callable[[Event], None] | None = None,
) -> Attribution:
    """Why `metric` moved between the runs `before` and `after` (ids).

    One difference at a time is swapped, and what that touches is run again in a folder of its own; what it does not
    touch comes from the store. `budget` is in seconds. `on_step(label)` hears what is measured next.
    Raises UsageError: the same run twice, a run that is not finished, a metric that one of them lacks.
    """
    if before == after:
        raise UsageError(f"{before} is compared with itself", name=after, fix="Name two runs: nbpipe history")
    started = time.monotonic()
    deadline = Deadline(budget)
    record = records.read(project.run_folder(after))
    store = open_store((record.store if record is not None else "") or project.store)
    a, b = load_side(project, before, metric, store), load_side(project, after, metric, store)
    units = match_units(a, b)
    files = data_files(a, b, Path(project.root), store)
    found = differences(a, b, units, files, order)
    swaps = [item for item in found if item.upstream]
    parts: list[Part] = []
    reasons = list(unswappable(a, b, files))
    remainder = b.value - a.value
    if swaps and budget > 0:
        from nbpipe.executors.local import LocalExecutor

        workshop = Workshop(a, b, files, project.root)
        hybrid = Hybrid(a, b, units, frozenset(item.ident for item in swaps))
        executor = LocalExecutor()

        def measure(swapped: frozenset[str], label: str) -> Measured:
            on_step(label)
            return run_trial(
                hybrid,
                workshop,
                swapped,
                metric,
                deadline,
                name=f"explain-{before}-{after}",
                store=store.location,
                executor=executor,
                listener=listener,
            )

        try:
            parts, remainder, said = walk(a, b, swaps, measure)
            reasons += said
        finally:
            executor.close()
            workshop.close()
    elif swaps:
        parts = [Part(differences=(item,), status="unmeasured", reason="there was no time for it") for item in swaps]
        reasons.append("the budget is used up")
    rest = [
        Part(differences=(i,), status="no-effect", reason=f"{metric} does not depend on it")
        for i in found
        if not i.upstream
    ]
    return Attribution(
        metric=metric,
        before=before,
        after=after,
        start=a.value,
        end=b.value,
        parts=(*parts, *rest),
        remainder=remainder,
        reasons=tuple(reasons),
        seconds=time.monotonic() - started,
    )
