"""What of a pipeline a sweep depends on: what it means, what a varied parameter touches, who writes files."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from blake3 import blake3

from nbpipe.errors import NbpipeError
from nbpipe.model import Pipeline
from nbpipe.plan.key import code_hash, stage_options
from nbpipe.run import merges
from nbpipe.run.api import Prepared
from nbpipe.sweep.study import Spec


def pipeline_of(prepared: Prepared) -> Pipeline:
    """As it is known now."""
    return prepared.pipeline(merges.known(prepared.project, prepared.notebook))


def meaning(prepared: Prepared) -> str:
    """Equal where trials can be compared: code, options, local modules and defaults; not comments, nor cell numbers.

    Nor which stages run as one: that may turn out while trials run.
    """
    pipeline = prepared.pipeline(())
    told = {
        "stages": [(stage.name, code_hash(pipeline, stage), stage_options(stage.options)) for stage in pipeline.stages],
        "modules": {name: digest for name, (_, digest) in pipeline.modules.items()},
        "params": [(param.name, param.type, param.default) for param in pipeline.params],
        "profiles": pipeline.profiles,
    }
    return blake3(msgspec.json.encode(told, order="sorted", enc_hook=repr)).hexdigest()


def is_unchanged(prepared: Prepared, spec: Spec) -> bool:
    """Whether the pipeline is that of the sweep: its modules are read from disk for each trial."""
    try:
        return meaning(prepared) == spec.meaning
    except NbpipeError:
        # A module that is being written is none.
        return False


def touched(pipeline: Pipeline, names: Iterable[str]) -> set[str]:
    """Stages that may give something else when one of these parameters changes: those that read it, and all below."""
    varied = set(names)
    found = {stage.name for stage in pipeline.stages if varied & set(stage.flow.params)}
    todo = list(found)
    while todo:
        source = todo.pop()
        more = {edge.target for edge in pipeline.edges if edge.source == source} - found
        found |= more
        todo += more
    return found


def writers(prepared: Prepared, spec: Spec) -> tuple[str, ...]:
    """Stages that run per trial and write files, as far as the code says or was seen: two at once would share them."""
    pipeline = pipeline_of(prepared)
    varied = touched(pipeline, [dimension.name for dimension in spec.space])
    seen = prepared.store.hints.observed
    return tuple(
        stage.name
        for stage in pipeline.stages
        if stage.name in varied
        and (stage.options.writes or stage.flow.file_writes or seen(code_hash(pipeline, stage)).get("writes_files"))
    )
