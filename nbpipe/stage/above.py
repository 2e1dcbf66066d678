"""What the stages above have given, and whether it is still what they would give. Nothing stale is built upon."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from nbpipe.errors import PipelineError
from nbpipe.export.graph import Order, ancestors
from nbpipe.model import Pipeline, Trace
from nbpipe.pipeline.contents import FOLDER, touches
from nbpipe.plan.constraints import holds
from nbpipe.plan.resolve import providers, wanted
from nbpipe.stage.book import Book


def results(book: Book, names: Iterable[str]) -> dict[str, Trace]:
    """Stage -> its result in this run, for those that have one."""
    entries = {name: book.read(name) for name in names}
    return {name: entry.trace for name, entry in entries.items() if entry is not None and entry.trace is not None}


def require(pipeline: Pipeline, stage: str, order: Order, given: Mapping[str, Trace]) -> None:
    """Raise PipelineError while a stage that this one reads from has no result in this run."""
    drawn = ancestors(order, stage)
    for item in pipeline.stages:
        if item.name in drawn and item.name not in given:
            raise PipelineError(
                f"'{item.name}' has no result in this run", stage=stage, name=item.name, fix="Run it first."
            )
    node = next(item for item in pipeline.stages if item.name == stage)
    outcomes = {name: trace.outcome for name, trace in given.items()}
    for name in sorted(providers(pipeline, node, outcomes) - given.keys()):
        raise PipelineError(
            f"was seen to need what '{name}' gives, and the scheduler does not wait for that",
            stage=stage,
            name=name,
            fix="Export again: nbpipe knows now that one comes after the other.",
        )


def standing(
    pipeline: Pipeline,
    stage: str,
    given: Mapping[str, Trace],
    params: Mapping[str, Any],
    *,
    order: Order,
    seed: int = 0,
) -> dict[str, Trace]:
    """The results that the stage builds upon: all that hold.

    One that does not, of a stage it does not wait for, is left out: a scheduler that runs a part of a run again has not
    come to it yet. Raises PipelineError for one of a stage that it waits for.
    """
    found = dict(given)
    above = ancestors(order, stage)
    while (old := stale(pipeline, found, params, seed=seed)) is not None and old[0] not in above:
        del found[old[0]]
    refuse_stale(pipeline, found, params, order=order, seed=seed)
    return found


def stale(
    pipeline: Pipeline, given: Mapping[str, Trace], params: Mapping[str, Any], *, seed: int = 0
) -> tuple[str, str] | None:
    """The first stage whose result is not what it would give now, after those above it, and why.

    So it is when stages ran side by side, and one turned out to change what the other had read.
    """
    outcomes = {name: trace.outcome for name, trace in given.items()}
    for stage in pipeline.stages:
        trace = given.get(stage.name)
        if trace is None:
            continue
        target = wanted(pipeline, stage.name, outcomes, params, seed=seed, champion=_champion(trace))
        if target is None:
            continue
        if target.key != trace.key:
            return stage.name, "what it read has changed"
        read = {state.path: state.digest for state in trace.outcome.files_read}
        # Within its run a result stands that others may not use, and files speak only where a stage above wrote them.
        plain = msgspec.structs.replace(trace.outcome, uncacheable=(), variables={}, modules={})
        reason = holds(msgspec.structs.replace(trace, outcome=plain), target, _digests(read))
        if reason is not None:
            return stage.name, reason
    return None


def refuse_stale(
    pipeline: Pipeline, given: Mapping[str, Trace], params: Mapping[str, Any], *, order: Order, seed: int = 0
) -> None:
    """Raise PipelineError for a result that does not hold, and for files that stages side by side have written."""
    found = stale(pipeline, given, params, seed=seed)
    if found is not None:
        name, reason = found
        above = ancestors(order, name)
        beside = [
            other for other in given if other != name and other not in above and name not in ancestors(order, other)
        ]
        said = f" ({', '.join(beside)} ran beside it)" if beside else ""
        raise PipelineError(
            f"its result does not hold any more: {reason}{said}",
            stage=name,
            fix="Run it again; if it ran beside the others, export again: nbpipe knows now which comes first.",
        )
    _refuse_races(pipeline, given, order)


def _digests(read: Mapping[str, str]) -> Callable[[str], str]:
    return lambda path: read.get(path, "")


def _refuse_races(pipeline: Pipeline, given: Mapping[str, Trace], order: Order) -> None:
    """Raise PipelineError where a stage writes a file that one above it in the notebook reads, lists or writes, unordered."""
    for n, later in enumerate(pipeline.stages):
        if later.name not in given:
            continue
        writes = {state.path for state in given[later.name].outcome.files_written}
        for earlier in pipeline.stages[:n] if writes else ():
            if earlier.name not in given or earlier.name in ancestors(order, later.name):
                continue
            outcome = given[earlier.name].outcome
            touched = {state.path for state in (*outcome.files_read, *outcome.files_written)}
            listed = [path for path in touched if path.endswith("/") and not path.endswith(FOLDER)]
            for path in sorted(
                path for path in writes if path in touched or any(touches(each, path) for each in listed)
            ):
                raise PipelineError(
                    f"writes {path}, which '{earlier.name}' uses too, and the scheduler orders them in no way",
                    stage=later.name,
                    name=path,
                    fix=f"Export again, or write --after {earlier.name} on the stage.",
                )


def _champion(trace: Trace) -> dict[str, float]:
    """The champion's metrics that the result was made with, as its key has them."""
    mark = "metric:champion."
    return {
        label.removeprefix(mark): msgspec.json.decode(text, type=float)
        for label, text in trace.parts.items()
        if label.startswith(mark)
    }
