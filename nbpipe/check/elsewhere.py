"""Packages that a stage needs and that its target did not have when it was asked last. Nothing is connected to."""

from __future__ import annotations

from nbpipe.check.findings import Finding
from nbpipe.errors import UsageError
from nbpipe.model import Pipeline
from nbpipe.run.fleets import targets_of
from nbpipe.run.project import Project
from nbpipe.targets.fit import need_of
from nbpipe.targets.settings import LOCAL
from nbpipe.targets.tested import noted


def missing_elsewhere(pipeline: Pipeline, project: Project) -> list[Finding]:
    """A warning per stage and target: somebody may have installed them since."""
    named = [stage for stage in pipeline.stages if stage.options.on not in (None, LOCAL)]
    if not named:
        return []
    try:
        targets = targets_of(project)
    except UsageError:
        # `unknown_targets` says what is wrong with them.
        return []
    found = []
    for stage in named:
        target = targets.get(stage.options.on or LOCAL)
        last = noted(project.state, target) if target is not None else None
        if target is None or last is None or target.environment == "build":
            continue
        wanted = need_of(pipeline, [stage], "").distributions
        absent = [f"{name}=={version}" for name, version in wanted.items() if last.packages.get(name) == ""]
        if absent:
            found.append(
                Finding(
                    severity="warning",
                    code="missing-package",
                    message=f"needs {', '.join(absent)}, which target '{target.name}' did not have when it was asked last",
                    fix=f"There: {target.python} -m pip install {' '.join(absent)}; then nbpipe target test {target.name}",
                    cell=stage.cells[0].cell,
                    line=1,
                    stage=stage.name,
                    name=absent[0].partition("==")[0],
                )
            )
    return found
