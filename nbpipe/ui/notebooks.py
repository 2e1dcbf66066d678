"""From a notebook to the view of its pipeline. Never raises for what a notebook may hold; runs nothing of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.check.findings import Finding
from nbpipe.check.preflight import examine
from nbpipe.model import Code, Notebook, Options, Outline, Param, Pipeline, Stage
from nbpipe.pipeline.secrets import secret_names
from nbpipe.run.project import Project
from nbpipe.ui.pipelines import ActionView, EdgeView, ParamView, PipelineView, ProblemView, StageView
from nbpipe.ui.rows import clip

#: Most problems that are shown.
MOST = 200


def pipeline_view(notebook: Notebook, folder: Path, project: Project) -> PipelineView:
    """The pipeline in a notebook that was read, with all that is wrong with it; `folder` is the notebook's."""
    found = examine(notebook, folder, project)
    ids = {cell.number: cell.id or "" for cell in notebook.cells}
    problems = tuple(_problem(item, ids) for item in found.findings[:MOST])
    name = Path(notebook.path).stem
    if found.draft is None:
        stages = _outlined(found.outline, ids) if found.outline is not None else ()
        return PipelineView(name=name, stages=stages, problems=problems)
    draft = found.draft
    return PipelineView(
        name=draft.name,
        version=found.pipeline.version if found.pipeline is not None else "",
        number=found.number,
        stages=tuple(_stage(stage, draft, ids) for stage in draft.stages),
        edges=tuple(EdgeView(source=e.source, target=e.target, names=e.names, kind=e.kind) for e in draft.edges),
        params=tuple(_param(param) for param in draft.params),
        profiles={name: {key: _plain(value) for key, value in given.items()} for name, given in draft.profiles.items()},
        problems=problems,
        secrets=secret_names(draft, folder),
    )


def unreadable_view(name: str, problem: Finding) -> PipelineView:
    """The same for a file that is no notebook."""
    return PipelineView(name=name, problems=(_problem(problem, {}),))


def _problem(item: Finding, ids: dict[int, str]) -> ProblemView:
    return ProblemView(
        severity=item.severity,
        code=item.code,
        message=clip(item.message),
        fix=clip(item.fix),
        cell=item.cell,
        id=_id(item.cell, ids),
        line=item.line,
        stage=item.stage,
        name=clip(item.name),
        actions=tuple(
            ActionView(kind=each.kind, label=each.label, cell=each.cell, id=_id(each.cell, ids), source=each.source)
            for each in item.actions
        ),
    )


def _id(cell: int | None, ids: dict[int, str]) -> str:
    return ids.get(cell, "") if cell is not None else ""


def _stage(stage: Stage, pipeline: Pipeline, ids: dict[int, str]) -> StageView:
    cells = _numbers(stage.cells)
    into = [edge for edge in pipeline.edges if edge.kind in ("data", "observed") and edge.target == stage.name]
    return StageView(
        name=stage.name,
        kind=stage.kind,
        cells=cells,
        ids=tuple(ids.get(cell, "") for cell in cells),
        options=_options(stage.options),
        inputs={name: edge.source for edge in into for name in edge.names} | dict(stage.flow.inputs),
        outputs=_variables(stage.flow.outputs),
        params=stage.flow.params,
        reads=_both(stage.options.reads, stage.flow.file_reads),
        writes=_both(stage.options.writes, stage.flow.file_writes),
    )


def _outlined(outline: Outline, ids: dict[int, str]) -> tuple[StageView, ...]:
    return tuple(
        StageView(
            name=stage.name,
            kind=stage.kind,
            cells=(cells := _numbers(stage.cells)),
            ids=tuple(ids.get(cell, "") for cell in cells),
            options=_options(stage.options),
        )
        for stage in outline.stages
    )


def _numbers(cells: Sequence[Code]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(code.cell for code in cells))


def _variables(names: Iterable[str]) -> tuple[str, ...]:
    """Without ambient state, which people do not name."""
    return tuple(name for name in names if not name.startswith("@"))


def _both(declared: Iterable[str], seen: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*declared, *seen)))


def _options(options: Options) -> dict[str, Any]:
    given: dict[str, Any] = msgspec.to_builtins(options)
    return given


def _param(param: Param) -> ParamView:
    return ParamView(
        name=param.name,
        type=param.type,
        default=_plain(param.default),
        choices=tuple(map(_plain, param.choices)) if param.choices is not None else None,
        help=clip(param.help),
        required=param.required,
    )


def _plain(value: Any) -> Any:
    """As JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(value))
