"""Everything that can be known to be wrong with a notebook before it runs."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nbpipe.check.findings import Finding, finding_of
from nbpipe.check.problems import problems_of
from nbpipe.model import Notebook, Outline, Pipeline
from nbpipe.pipeline.extract import Observed
from nbpipe.pipeline.numbering import known_number
from nbpipe.run.project import Project
from nbpipe.store import open_store


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, in notebook order, and as much of the pipeline as there is."""

    findings: tuple[Finding, ...]
    #: None where an error prevents a run.
    pipeline: Pipeline | None = None
    #: Of what is sound, to be drawn; not to be run.
    draft: Pipeline | None = None
    outline: Outline | None = None
    #: Running number of the version; None for one that never ran.
    number: int | None = None


def examine(notebook: Notebook, folder: Path, project: Project) -> Examined:
    """Look at a notebook that was read; `folder` is its own. Raises nothing that a notebook can cause, writes nothing."""
    found = problems_of(notebook, folder, _observed(project))
    findings = [finding_of(error) for error in found.problems]
    pipeline = found.pipeline
    if pipeline is not None:
        findings += [Finding(severity="warning", code="pipeline", message=text) for text in pipeline.warnings]
    return Examined(
        findings=tuple(sorted(findings, key=lambda item: (item.cell or 0, item.line or 0))),
        pipeline=pipeline,
        draft=found.draft,
        outline=found.outline,
        number=known_number(project.state, pipeline.name, pipeline.version) if pipeline is not None else None,
    )


def _observed(project: Project) -> Observed | None:
    """What stages were seen to do, where the project has a store. Looking must not make one."""
    place = project.store
    return open_store(place).hints.observed if "://" in place or Path(place).is_dir() else None
