"""What differs between two runs and cannot be swapped: it is named with what is left over."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from nbpipe.explain.data import DataFile
from nbpipe.explain.differences import Difference
from nbpipe.explain.side import Side
from nbpipe.pipeline.modules import distributions_reached


def lost_data(files: Sequence[DataFile]) -> tuple[list[Difference], list[Difference]]:
    """Files that differ and of which only one run's contents can be had: those that the first has lost, and the second."""
    lost: tuple[list[Difference], list[Difference]] = ([], [])
    for file in files:
        there = [source is not None or digest == "" for source, digest in _sides(file)]
        if file.differs and any(there) and not all(there):
            found = Difference(ident=f"data:{file.path}", kind="data", label=f"{file.path}: contents")
            lost[there.index(False)].append(found)
    return lost


def unswappable(a: Side, b: Side, files: Sequence[DataFile]) -> Iterator[str]:
    """What else differs: one sentence each."""
    for file in files:
        there = [source is not None or not digest for source, digest in _sides(file)]
        if file.differs and not any(there):
            yield f"{file.path}: what {a.run} and {b.run} read is gone"
        elif not file.differs and not any(source for source, _ in _sides(file)) and (file.before or file.after):
            yield f"{file.path}: it has changed since, and what the runs read is gone"
    yield from _packages(a, b)
    yield from _variables(a, b)


def _sides(file: DataFile) -> list[tuple[Path | None, str | None]]:
    return list(zip(file.sources, (file.before, file.after), strict=True))


def _packages(a: Side, b: Side) -> Iterator[str]:
    """Packages of the two runs, and of today where those are others: the runs between have today's."""
    for name in sorted({*_reached(a), *_reached(b)}):
        old, new = (side.pipeline.distributions.get(name) for side in (a, b))
        if old is not None and new is not None and old != new:
            yield f"{name} {old} → {new}"
        elif (now := _installed(name)) != (new or old):
            yield f"{name} is {now or 'not installed'} now, not {new or old}"
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if a.pipeline.python != b.pipeline.python:
        yield f"Python {a.pipeline.python} → {b.pipeline.python}"
    elif a.pipeline.python and a.pipeline.python != here:
        yield f"Python is {here} now, not {a.pipeline.python}"
    if a.pipeline.kernel != b.pipeline.kernel:
        yield f"kernel {a.pipeline.kernel} → {b.pipeline.kernel}"


def _reached(side: Side) -> set[str]:
    return {name for stage in side.upstream for name in distributions_reached(side.pipeline, stage)}


def _installed(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _variables(a: Side, b: Side) -> Iterator[str]:
    old, new = (
        {name: digest for outcome in side.outcomes.values() for name, digest in outcome.variables.items()}
        for side in (a, b)
    )
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            yield f"environment variable {name} had another value"
