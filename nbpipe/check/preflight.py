"""Everything that can be known to be wrong with a notebook before it runs."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nbpipe.check.elsewhere import missing_elsewhere
from nbpipe.check.files import missing_files
from nbpipe.check.findings import Finding, finding_of
from nbpipe.check.names import actions_for
from nbpipe.check.order import out_of_order
from nbpipe.check.packages import missing_packages
from nbpipe.check.parameters import unread_parameters
from nbpipe.check.places_to_run import unknown_targets
from nbpipe.check.problems import problems_of
from nbpipe.check.values import unstorable_values
from nbpipe.errors import NotebookError
from nbpipe.model import Notebook, Outline, Pipeline
from nbpipe.notebook.reader import read_notebook
from nbpipe.pipeline.extract import Observed
from nbpipe.pipeline.numbering import known_number
from nbpipe.pipeline.params import unread_warning
from nbpipe.run.project import Project, find_project
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


def examine_file(path: Path) -> Examined:
    """The same for the notebook at `path`; a file that is none is an error among the findings."""
    try:
        notebook = read_notebook(path)
    except NotebookError as error:
        return Examined(findings=(finding_of(error),))
    return examine(notebook, path.parent, find_project(path))


def examine(notebook: Notebook, folder: Path, project: Project) -> Examined:
    """Look at a notebook that was read; `folder` is its own. Raises nothing that a notebook can cause, writes nothing."""
    found = problems_of(notebook, folder, _observed(project))
    findings = [finding_of(error, actions_for(error, notebook, found.outline)) for error in found.problems]
    pipeline, draft, outline = found.pipeline, found.draft, found.outline
    if draft is not None:
        findings += missing_files(draft, folder, notebook) + unstorable_values(draft, notebook)
        findings += unknown_targets(draft, project) + missing_elsewhere(draft, project)
        findings += missing_packages(draft, folder, (project.root, project.root / "src"), notebook)
        # Unread parameters are findings of their own.
        said = set(map(unread_warning, draft.params))
        findings += [Finding(severity="warning", code="pipeline", message=t) for t in draft.warnings if t not in said]
    if outline is not None:
        findings += out_of_order(notebook, outline)
    if pipeline is not None and outline is not None:
        # Stages that cannot be read may well read parameters.
        findings += unread_parameters(pipeline)
    return Examined(
        findings=tuple(sorted(findings, key=lambda item: (item.cell or 0, item.line or 0))),
        pipeline=pipeline,
        draft=draft,
        outline=outline,
        number=known_number(project.state, pipeline.name, pipeline.version) if pipeline is not None else None,
    )


def _observed(project: Project) -> Observed | None:
    """What stages were seen to do, where the project has a store. Looking must not make one."""
    place = project.store
    return open_store(place).hints.observed if "://" in place or Path(place).is_dir() else None
