"""Which files of the project a stage is known to read: on another machine it finds no others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from nbpipe.model import Pipeline, Stage
from nbpipe.plan.key import code_hash
from nbpipe.run.attempt import Place


def known_reads(place: Place, pipeline: Pipeline, stage: Stage) -> tuple[str, ...]:
    """Paths and patterns from the project: local modules, what is declared, what stands in the code, what was seen before."""
    return tuple(dict.fromkeys(_reads(place, pipeline, stage)))


def _reads(place: Place, pipeline: Pipeline, stage: Stage) -> Iterator[str]:
    below = os.path.relpath(place.cwd, place.project)

    def inside(path: str) -> Iterator[str]:
        if "://" in path:
            return
        found = path if Path(path).is_absolute() else os.path.normpath(Path(below, path).as_posix())
        if Path(found).is_absolute() and Path(found).is_relative_to(place.project):
            found = Path(found).relative_to(place.project).as_posix()
        if not Path(found).is_absolute() and not found.startswith(".."):
            yield found

    for path, _ in pipeline.modules.values():
        yield from inside(path)
    for path in stage.options.reads:
        yield from inside(path)
    for path in stage.flow.file_reads:
        # What merely stands in the code may be anything: a folder that is named is not a folder that is read.
        for found in inside(path):
            if (place.project / found).is_file():
                yield found
    for path in place.store.hints.observed(code_hash(pipeline, stage)).get("reads_files", ()):
        if not Path(path).is_absolute():
            yield path
