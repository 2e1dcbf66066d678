"""The code of a pipeline in pieces, each as it stands in the notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from nbpipe.history.difference.shape import CellStart, CodeText
from nbpipe.history.difference.view import Sources, Unit
from nbpipe.model import Code, Pipeline, Snippet
from nbpipe.pipeline.code import definitions_of
from nbpipe.pipeline.modules import reach

#: Characters of one piece of code; what is beyond is not looked at.
LONGEST = 500_000


def sources_of(pipeline: Pipeline, cells: Mapping[int, str], module: Callable[[str], str | None]) -> Sources:
    """Its stages, setup, sliced definitions and local modules.

    `cells` maps numbers to whole cells, magic line included; one that is missing is shown without its magic.
    `module(path)` gives a module's source, None where it is not there.
    """
    return Sources(
        version=pipeline.version,
        stages=tuple(
            Unit(
                kind=stage.kind,
                text=_cells_text(stage.name, stage.cells, cells),
                bodies=tuple(code.body for code in stage.cells),
                options=stage.options,
                params=stage.flow.params,
            )
            for stage in pipeline.stages
        ),
        setup=_setup(pipeline, cells),
        definitions=_definitions(pipeline),
        modules=_modules(pipeline, module),
    )


def _setup(pipeline: Pipeline, cells: Mapping[int, str]) -> tuple[Unit, ...]:
    if not pipeline.setup:
        return ()
    text = _cells_text("setup", pipeline.setup, cells)
    names = tuple(stage.name for stage in pipeline.stages)
    return (Unit(kind="setup", text=text, bodies=tuple(code.body for code in pipeline.setup), stages=names),)


def _definitions(pipeline: Pipeline) -> tuple[Unit, ...]:
    """Those that stages take from elsewhere: what stands in a stage's or a setup cell is shown there."""
    used: dict[str, tuple[Snippet, list[str]]] = {}
    shown = {code.cell for code in pipeline.setup}
    for stage in pipeline.stages:
        for snippet in definitions_of(pipeline, stage):
            if snippet.stage is None and snippet.cell not in shown:
                used.setdefault(snippet.id, (snippet, []))[1].append(stage.name)
    return tuple(
        Unit(
            kind=snippet.kind,
            text=CodeText(
                name=", ".join(snippet.names),
                text=snippet.source[:LONGEST],
                cells=(CellStart(cell=snippet.cell, line=1, first=snippet.line),),
                cut=len(snippet.source) > LONGEST,
            ),
            bodies=(snippet.source,),
            stages=tuple(stages),
        )
        for snippet, stages in used.values()
    )


def _modules(pipeline: Pipeline, module: Callable[[str], str | None]) -> tuple[Unit, ...]:
    if not pipeline.modules:
        return ()
    reached = {stage.name: reach(pipeline, stage) for stage in pipeline.stages}
    units = []
    for name, (path, meaning) in pipeline.modules.items():
        text = module(path) or ""
        stages = tuple(stage for stage, names in reached.items() if name in names)
        shown = CodeText(name=name, text=text[:LONGEST].removesuffix("\n"), path=path, cut=len(text) > LONGEST)
        units.append(Unit(kind="module", text=shown, stages=stages, meaning=meaning))
    return tuple(units)


def _cells_text(name: str, codes: Sequence[Code], cells: Mapping[int, str]) -> CodeText:
    starts: list[CellStart] = []
    texts: list[str] = []
    line = 1
    for number, same in _by_cell(codes):
        whole = cells.get(number)
        text = "\n".join(code.body for code in same) if whole is None else whole
        starts.append(CellStart(cell=number, line=line, first=same[0].line if whole is None else 1))
        texts.append(text)
        line += text.count("\n") + 1
    joined = "\n".join(texts)
    return CodeText(name=name, text=joined[:LONGEST], cells=tuple(starts), cut=len(joined) > LONGEST)


def _by_cell(codes: Iterable[Code]) -> Iterable[tuple[int, list[Code]]]:
    found: dict[int, list[Code]] = {}
    for code in codes:
        found.setdefault(code.cell, []).append(code)
    return found.items()
