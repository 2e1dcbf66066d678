"""From a notebook to its pipeline. Nothing of the notebook is executed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.dataflow.links import edges
from nbpipe.dataflow.remembered import analysis
from nbpipe.model import Outline, Pipeline
from nbpipe.notebook.reader import read_notebook
from nbpipe.notebook.stages import outline
from nbpipe.pipeline.code import code_hash, prepare
from nbpipe.pipeline.codec import SCHEMA, stamped
from nbpipe.pipeline.environment import provided, python_minor
from nbpipe.pipeline.merging import merge_stages
from nbpipe.pipeline.modules import find_modules, imported_names
from nbpipe.pipeline.params import extract_params, unread, unread_warning

Observed = Callable[[str], dict[str, Any]]
_MARKS = ("nbpipe.toml", "pyproject.toml", ".git")


def extract(path: Path, *, observed: Observed | None = None, merges: Sequence[tuple[str, ...]] = ()) -> Pipeline:
    """The pipeline of the notebook at `path`. Raises `NotebookError` or a `PipelineError`.

    `observed(code_hash)` gives what a stage of that code was seen to do. `merges` are groups of stages to treat as one.
    """
    return extract_outline(outline(read_notebook(path)), Path(path).parent, observed=observed, merges=merges)


def extract_outline(
    found: Outline,
    folder: Path,
    *,
    observed: Observed | None = None,
    merges: Sequence[tuple[str, ...]] = (),
) -> Pipeline:
    """The same for an outline; `folder` is the notebook's, where its local modules lie."""
    found = merge_stages(found, merges)
    pipeline = _pipeline(found, folder)
    if observed is None:
        return pipeline
    prepare(pipeline, str(Path(found.notebook.path).resolve()))
    facts = {stage.name: seen for stage in pipeline.stages if (seen := observed(code_hash(pipeline, stage)))}
    # Facts make edges and nothing else: the cells are not analysed again, and the version stays.
    return msgspec.structs.replace(pipeline, edges=edges(pipeline.stages, facts)) if facts else pipeline


def _pipeline(found: Outline, folder: Path) -> Pipeline:
    params, profiles = extract_params(found)
    flow = analysis(found, params)
    bodies = [code.body for code in found.setup]
    bodies += [code.body for stage in flow.stages for code in stage.cells]
    used = {ident for stage in flow.stages for ident in stage.flow.definitions}
    bodies += [item.source for item in flow.snippets if item.id in used]
    project = _project(folder.resolve())
    local = find_modules(bodies, folder.resolve(), (project, project / "src"))
    names = {name for body in bodies for name in imported_names(body)}
    names |= {name for several in local.imports.values() for name in several}
    distributions, provided_by = provided({name.partition(".")[0] for name in names} - local.modules.keys())
    kernel = found.notebook.metadata.get("kernelspec")
    name = kernel.get("name") if isinstance(kernel, dict) else None
    return stamped(
        Pipeline(
            schema=SCHEMA,
            name=Path(found.notebook.path).stem,
            stages=tuple(flow.stages),
            edges=tuple(flow.edges),
            params=params,
            profiles=profiles,
            setup=found.setup,
            snippets=tuple(flow.snippets),
            modules=local.modules,
            module_imports=local.imports,
            module_marks=local.marks,
            distributions=distributions,
            provided_by=provided_by,
            python=python_minor(),
            kernel=name if isinstance(name, str) and name else "python3",
            warnings=(*found.warnings, *flow.warnings, *map(unread_warning, unread(params, flow.stages))),
            mergeable=found.mergeable,
        )
    )


def _project(folder: Path) -> Path:
    for place in (folder, *folder.parents):
        if any((place / mark).exists() for mark in _MARKS):
            return place
    return folder
