"""`explain_runs`: from two runs to the parts that the metric's movement falls into."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from nbpipe.errors import UsageError
from nbpipe.explain.attribution import Attribution, Part
from nbpipe.explain.data import DataFile, data_files
from nbpipe.explain.deadline import Deadline
from nbpipe.explain.differences import ORDER, Difference, Group, differences
from nbpipe.explain.hybrid import Hybrid
from nbpipe.explain.remainder import lost_data, unswappable
from nbpipe.explain.scratch import Workshop
from nbpipe.explain.side import Side, load_side
from nbpipe.explain.trial import Measured, Trials
from nbpipe.explain.units import Unit, match_units
from nbpipe.explain.walk import Walk
from nbpipe.model import Event, Value
from nbpipe.run import record as records
from nbpipe.run.project import Project
from nbpipe.store import Store, open_store

#: Seconds, where none are given.
BUDGET = 600.0

__all__ = ["BUDGET", "Attribution", "Difference", "Part", "Step", "explain_runs"]


class Step(Value, frozen=True, kw_only=True):
    """What is measured next: the `number`th of `total` swaps; 0 is the first run as it was."""

    number: int
    total: int
    label: str


def explain_runs(
    project: Project,
    before: str,
    after: str,
    metric: str,
    *,
    budget: float = BUDGET,
    order: Sequence[Group] = ORDER,
    on_step: Callable[[Step], None] = lambda _: None,
    listener: Callable[[Event], None] | None = None,
) -> Attribution:
    """Why `metric` moved between the runs `before` and `after` (ids).

    One difference at a time is swapped, and what that touches is run again in a folder of its own; what it does not
    touch comes from the store. `budget` is in seconds; `order` says which kinds are swapped first. `on_step` hears
    what is measured next, `listener` the events of each run.

    Raises UsageError: the same run twice, a run that is not finished, a metric that one of them lacks; Interrupted.
    """
    if before == after:
        raise UsageError(f"{before} is compared with itself", name=after, fix="Name two runs: nbpipe history")
    started, deadline = time.monotonic(), Deadline(budget)
    store = _store(project, after)
    a, b = load_side(project, before, metric, store), load_side(project, after, metric, store)
    units, files = match_units(a, b), data_files(a, b, project.root, store)
    found = differences(a, b, units, files, order)
    swaps = [item for item in found if item.upstream]
    others, lost = list(unswappable(a, b, files)), lost_data(files)
    if others:
        # What is lost is one of several things that may be behind the same movement.
        others += [
            f"{item.label}: what {run} read is gone"
            for run, items in zip((before, after), lost, strict=True)
            for item in items
        ]
        lost = ([], [])
    walk = Walk(a, b, swaps, lost=lost)
    if swaps or any(lost):
        _go(walk, _Ground(project, a, b, units, files, swaps), store, metric, deadline, on_step, listener)
    elif b.value != a.value and not others:
        others.append(f"up to the stage that gives {metric} the runs are the same: chance, or the world outside")
    quiet = [item for item in found if not item.upstream]
    return Attribution(
        metric=metric,
        before=before,
        after=after,
        start=a.value,
        end=b.value,
        parts=(*walk.parts, *(_without_effect(item, metric) for item in quiet)),
        remainder=walk.remainder,
        reasons=(*others, *walk.reasons),
        seconds=time.monotonic() - started,
    )


class _Ground(Value, frozen=True):
    """What the walk goes over."""

    project: Project
    a: Side
    b: Side
    units: Sequence[Unit]
    files: Sequence[DataFile]
    swaps: Sequence[Difference]


def _go(
    walk: Walk,
    ground: _Ground,
    store: Store,
    metric: str,
    deadline: Deadline,
    on_step: Callable[[Step], None],
    listener: Callable[[Event], None] | None,
) -> None:
    if deadline.left <= 0:
        walk.stop()
        return
    from nbpipe.executors.local import LocalExecutor

    workshop = Workshop(ground.a, ground.b, ground.files, ground.project.root)
    executor = LocalExecutor()
    trials = Trials(
        Hybrid(ground.a, ground.b, ground.units, {item.ident for item in ground.swaps}),
        workshop,
        metric,
        name=f"explain-{ground.a.run}-{ground.b.run}",
        store=store.location,
        executor=executor,
        listener=listener,
    )

    def measure(swapped: frozenset[str], label: str) -> Measured:
        on_step(Step(number=len(swapped), total=len(ground.swaps), label=label))
        return trials.measure(swapped, deadline)

    try:
        walk.go(measure)
    finally:
        executor.close()
        workshop.close()


def _store(project: Project, run: str) -> Store:
    """The store that the results of the second run lie in."""
    record = records.read(project.run_folder(run))
    return open_store((record.store if record is not None else "") or project.store)


def _without_effect(item: Difference, metric: str) -> Part:
    return Part(differences=(item,), status="no-effect", reason=f"{metric} does not depend on it")
