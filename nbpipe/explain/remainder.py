"""What differs between two runs and cannot be swapped: it is named with what is left over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nbpipe.explain.data import DataFile
from nbpipe.explain.side import Side
from nbpipe.pipeline.modules import distributions_reached


def unswappable(a: Side, b: Side, files: Sequence[DataFile]) -> Iterator[str]:
    """One sentence each."""
    for file in files:
        if file.differs and not file.swappable:
            gone = [side.run for side, source in zip((a, b), file.sources, strict=True) if source is None]
            yield f"{file.path}: the contents that {' and '.join(gone)} read are gone"
        elif file.differs is False and (file.before or file.after) and not any(file.sources):
            yield f"{file.path}: it has changed since, and what the runs read is gone"
    yield from _packages(a, b)
    yield from _variables(a, b)


def _packages(a: Side, b: Side) -> Iterator[str]:
    reached = {
        name for side in (a, b) for stage in side.upstream for name in distributions_reached(side.pipeline, stage)
    }
    for name in sorted(reached):
        old, new = (side.pipeline.distributions.get(name) for side in (a, b))
        if old is not None and new is not None and old != new:
            yield f"{name} {old} → {new}"
    if a.pipeline.python != b.pipeline.python:
        yield f"Python {a.pipeline.python} → {b.pipeline.python}"
    if a.pipeline.kernel != b.pipeline.kernel:
        yield f"kernel {a.pipeline.kernel} → {b.pipeline.kernel}"


def _variables(a: Side, b: Side) -> Iterator[str]:
    old, new = (
        {name: digest for outcome in side.outcomes.values() for name, digest in outcome.variables.items()}
        for side in (a, b)
    )
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            yield f"environment variable {name} had another value"
