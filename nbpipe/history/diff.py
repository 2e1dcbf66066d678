"""What changed between two runs, two trials, or one of these and the notebook as it is now.

Never runs code, never loads a pickle, never writes. The format is specified in `docs/formats/diff.md`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

import msgspec

from nbpipe.errors import UsageError
from nbpipe.history.difference.code import code_diffs
from nbpipe.history.difference.environments import environment_diffs
from nbpipe.history.difference.files import file_diffs
from nbpipe.history.difference.metrics import metric_diffs
from nbpipe.history.difference.outputs import output_diffs
from nbpipe.history.difference.parameters import param_diffs
from nbpipe.history.difference.shape import PARTS, Diff, Note, Part
from nbpipe.history.difference.sides import views
from nbpipe.history.difference.stages import counts_of, match_stages, names_in_b, only, with_differences
from nbpipe.history.difference.values import value_diffs
from nbpipe.history.difference.view import View
from nbpipe.run.project import Project

__all__ = ["PARTS", "Diff", "Part", "compare", "compute"]


def compute(
    project: Project,
    a: str,
    b: str,
    *,
    parts: Iterable[Part] = PARTS,
    everything: bool = False,
    stage: str | None = None,
) -> Diff:
    """The differences between A and B: runs (`r41`, `41`, `latest`), trials (`t12`), `now` or a notebook's path.

    Only `parts` are looked at: what is not asked for is not read. `everything` keeps what is equal too. `stage`: only of
    that stage, by its name on either side. Raises UsageError for a side, part or stage that is not there, NotebookError or
    a PipelineError for a notebook that cannot be read.
    """
    asked = set(parts)
    if unknown := sorted(asked - set(get_args(Part))):
        raise UsageError(f"{unknown[0]!r} is no part of a diff", name=unknown[0], fix=f"Parts: {', '.join(PARTS)}")
    return compare(
        *views(project, a, b), parts=tuple(part for part in PARTS if part in asked), everything=everything, stage=stage
    )


def compare(
    a: View, b: View, *, parts: tuple[Part, ...] = PARTS, everything: bool = False, stage: str | None = None
) -> Diff:
    """The same for sides that were opened."""
    stages = match_stages(a, b)
    names = names_in_b(stages)
    if stage is not None:
        chosen = only(stages, stage)
        if not chosen:
            known = ", ".join(dict.fromkeys(each.name for each in stages)) or "none"
            raise UsageError(f"neither side has a stage '{stage}'", name=stage, fix=f"Their stages: {known}")
        stages = chosen
    code = code_diffs(a.sources(), b.sources(), stages, names, everything=everything) if "code" in parts else []
    params = param_diffs(a, b, names, everything=everything) if "params" in parts else []
    environment = environment_diffs(a, b, everything=everything) if "environment" in parts else []
    ran, notes = _comparable(a, b, parts)
    metrics = metric_diffs(a, b, stages, everything=everything) if "metrics" in ran else []
    data = value_diffs(a, b, stages, everything=everything) if "data" in ran else []
    files = file_diffs(a, b, stages, names, everything=everything) if "data" in parts else []
    outputs = output_diffs(a, b, stages, everything=everything) if "outputs" in ran else []
    if stage is not None:
        here = {each.name for each in stages}
        code = [each for each in code if each.unit == "stage" or here & set(each.stages)]
        params = [each for each in params if here & set(each.stages)]
    found = Diff(
        a=a.about,
        b=b.about,
        parts=parts,
        same=False,
        counts={},
        stages=tuple(stages),
        code=tuple(code),
        params=tuple(params),
        metrics=tuple(metrics),
        environment=tuple(environment),
        data=tuple(data),
        files=tuple(files),
        outputs=tuple(outputs),
        notes=(*a.notes, *b.notes, *notes),
    )
    counts = counts_of(found)
    return with_differences(msgspec.structs.replace(found, counts=counts, same=not any(counts.values())))


def _comparable(a: View, b: View, parts: tuple[Part, ...]) -> tuple[set[Part], list[Note]]:
    """Parts of what ran that both sides can have: a notebook has not run, nothing of it is missing."""
    found = set(parts)
    notes = []
    for side in (a, b):
        if side.about.kind != "notebook":
            continue
        saved = any(side.executed(unit.text.name) is not None for unit in side.sources().stages)
        lacking: list[tuple[Part, str]] = [("metrics", "metrics"), ("data", "values")]
        lacking += [] if saved else [("outputs", "saved outputs")]
        for part, what in lacking:
            if part in found:
                found.discard(part)
                notes.append(Note(part=part, text=f"{side.about.label} has no {what}"))
    return found, notes
