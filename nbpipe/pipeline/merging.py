"""Stages that run as one, because a value between them cannot be stored. Their options are joined, or it is an error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from nbpipe.errors import PipelineError
from nbpipe.model import Options, Outline, StageCells

#: What the whole needs, where its parts need something: the largest, or all together.
_LARGEST = ("gpus", "cpus", "memory", "retries")
_TOGETHER = ("reads", "writes", "metrics", "thresholds")
#: One choice for the whole: parts that say different things cannot be joined.
_SAME = ("on", "image", "nodes", "nproc", "model", "register")


def merge_stages(found: Outline, merges: Sequence[tuple[str, ...]]) -> Outline:
    """Each group, and every stage between its first and last, as one stage under the first one's name.

    Raises PipelineError where their options cannot all be kept.
    """
    if not merges:
        return found
    stages = list(found.stages)
    for group in merges:
        at = [n for n, stage in enumerate(stages) if stage.name in group]
        if len(at) > 1:
            stages[at[0] : at[-1] + 1] = [_merged(stages[at[0] : at[-1] + 1])]
    names = {stage.name for stage in stages}
    heads = {stage.name: _head(stage.name, found, stages) for stage in found.stages}
    stages = [_renamed(stage, names, heads) for stage in stages]
    return msgspec.structs.replace(found, stages=tuple(stages))


def _merged(part: Sequence[StageCells]) -> StageCells:
    first = part[0]
    for stage in part[1:]:
        if stage.kind != first.kind:
            raise _refused(part, stage, f"'{first.name}' is a {first.kind} and '{stage.name}' a {stage.kind}")
    cells = tuple(sorted((code for stage in part for code in stage.cells), key=lambda code: code.cell))
    return StageCells(name=first.name, kind=first.kind, cells=cells, options=_options(part))


def _options(part: Sequence[StageCells]) -> Options:
    every = [stage.options for stage in part]

    def union(name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(item for options in every for item in getattr(options, name) or ()))

    def one(name: str) -> Any:
        said = [(stage, value) for stage in part if (value := getattr(stage.options, name)) is not None]
        for stage, value in said:
            if value != said[0][1]:
                raise _refused(
                    part, stage, f"--{name} is {said[0][1]} in '{said[0][0].name}' and {value} in '{stage.name}'"
                )
        return said[0][1] if said else None

    joined: dict[str, Any] = {name: union(name) for name in (*_TOGETHER, "after")}
    joined |= {name: one(name) for name in _SAME}
    joined |= {name: _fold(max, [getattr(options, name) for options in every]) for name in _LARGEST}
    # Times add up, and a part without a limit has none; declared names count only where every part declares them.
    times = [options.timeout for options in every]
    joined["timeout"] = sum(time for time in times if time is not None) if None not in times else None
    for name in ("inputs", "outputs"):
        declared = [getattr(options, name) for options in every]
        joined[name] = union(name) if None not in declared else None
    kept = [options.cache for options in every]
    joined["cache"] = "never" if "never" in kept else "live" if set(kept) == {"live"} else "default"
    joined["env"] = _environment(part)
    return Options(**joined)


def _environment(part: Sequence[StageCells]) -> dict[str, str]:
    found: dict[str, str] = {}
    for stage in part:
        for name, value in stage.options.env.items():
            if found.setdefault(name, value) != value:
                raise _refused(part, stage, f"they set {name} to different values with --env")
    return found


def _fold(choose: Callable[[list[Any]], Any], values: list[Any]) -> Any:
    said = [value for value in values if value is not None]
    return choose(said) if said else None


def _refused(part: Sequence[StageCells], stage: StageCells, why: str) -> PipelineError:
    return PipelineError(
        f"has to run as one stage with '{part[0].name}', because a value between them cannot be stored, but {why}",
        stage=stage.name,
        cell=stage.cells[0].cell,
        line=1,
        fix="Give them the same option, or create the value in the stage that uses it.",
    )


def _head(name: str, found: Outline, stages: Sequence[StageCells]) -> str:
    """The stage of the merged notebook that holds this one's cells."""
    cell = next(stage for stage in found.stages if stage.name == name).cells[0].cell
    return next(stage.name for stage in stages if any(code.cell == cell for code in stage.cells))


def _renamed(stage: StageCells, names: set[str], heads: dict[str, str]) -> StageCells:
    """`--after` names the stages that are there now; within one stage there is no order to ask for."""
    after = (name if name in names else heads.get(name, name) for name in stage.options.after)
    kept = tuple(dict.fromkeys(name for name in after if name != stage.name))
    return msgspec.structs.replace(stage, options=msgspec.structs.replace(stage.options, after=kept))
