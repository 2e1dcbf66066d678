"""Stages that name a target which the project does not describe, or which cannot do what they ask for."""

from __future__ import annotations

from nbpipe.check.findings import Finding, finding_of
from nbpipe.errors import UnsupportedError, UsageError
from nbpipe.model import Pipeline
from nbpipe.notebook.options import check_supported
from nbpipe.run.fleets import targets_of
from nbpipe.run.project import Project
from nbpipe.targets.settings import LOCAL, target_named


def unknown_targets(pipeline: Pipeline, project: Project) -> list[Finding]:
    """A finding per stage whose target is not there; one for the whole where the targets cannot be read."""
    named = [stage for stage in pipeline.stages if stage.options.on not in (None, LOCAL)]
    if not named:
        return []
    try:
        targets = targets_of(project)
    except UsageError as error:
        return [finding_of(error)]
    found = []
    for stage in named:
        try:
            target = target_named(targets, stage.options.on or LOCAL, stage=stage.name)
            check_supported(stage.options, stage.name, stage.cells[0].cell, kind=target.kind)
        except (UsageError, UnsupportedError) as error:
            error.cell = stage.cells[0].cell
            error.line = 1
            found.append(finding_of(error))
    return found
