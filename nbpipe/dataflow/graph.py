"""The analysis: which stage gives what to which. Stages are walked in notebook order with the names visible on the way."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nbpipe.dataflow import ordering
from nbpipe.dataflow.flow import Flow
from nbpipe.dataflow.known import Known, Names
from nbpipe.dataflow.links import edges
from nbpipe.dataflow.snippets import config_magic, definition
from nbpipe.dataflow.stage import StageWalk
from nbpipe.dataflow.transform import parse, statements
from nbpipe.dataflow.walker import effects, statement_effects
from nbpipe.errors import PipelineError
from nbpipe.model import Code, Outline, Param, Snippet, Stage, StageCells

__all__ = ["Flow", "analyze"]


def analyze(
    outline: Outline,
    params: tuple[Param, ...],
    *,
    observed: Mapping[str, Mapping[str, Any]] | None = None,
) -> Flow:
    """The dataflow of an outline.

    `observed`: stage -> facts of earlier runs ("outputs", "reads_files", "writes_files", "ambient_out", "ambient_read"), which
    become edges. Raises UndefinedNameError, CycleError or PipelineError with the stage, the cell and the line.
    """
    cells = ordering.stages(outline.stages)
    known = Known(folder=Path(outline.notebook.path).resolve().parent, mergeable=outline.mergeable)
    names = Names()
    _params(outline, params, known, names)
    _setup(outline, known, names)
    bound = [_binds(stage) for stage in cells]
    _exploration_values(outline, cells, bound, known)
    below = _Below(cells, bound)
    walks = []
    pending = [(code, item) for code in outline.exploration for item in _tree_or_nothing(code)]
    checks: list[str] = []
    afters = {}
    for position, (stage, binds) in enumerate(zip(cells, bound, strict=True)):
        first = stage.cells[0].cell
        while pending and pending[0][0].cell < first:
            _explore(*pending.pop(0), known, names)
        known.last = position == len(cells) - 1
        known.alone = not (position or outline.setup or outline.params)
        walk = StageWalk(stage, known, names, later=below.without(binds))
        for code in stage.cells:
            for node in _tree(code, stage.name):
                walk.statement(node, code)
        walk.finish()
        afters[stage.name] = tuple(dict.fromkeys((*stage.options.after, *checks)))
        walks.append(walk)
        if stage.kind == "check":
            checks.append(stage.name)
    return _flow(walks, afters, known, observed or {})


def _flow(
    walks: Sequence[StageWalk],
    afters: Mapping[str, tuple[str, ...]],
    known: Known,
    observed: Mapping[str, Mapping[str, Any]],
) -> Flow:
    captured = known.captured()
    wanted: dict[str, set[str]] = {walk.name: set() for walk in walks}
    for walk in walks:
        for name, giver in walk.inputs.items():
            wanted[giver].add(name)
    dynamic_below = False
    for walk in reversed(walks):
        wanted[walk.name] |= walk.writes & captured
        if dynamic_below:
            wanted[walk.name] |= walk.writes
        dynamic_below |= walk.dynamic
    stages = tuple(
        Stage(
            name=walk.name,
            kind=walk.stage.kind,
            cells=walk.stage.cells,
            options=walk.stage.options,
            after=afters[walk.name],
            flow=walk.flow(wanted[walk.name]),
        )
        for walk in walks
    )
    snippets = sorted(known.snippets.values(), key=lambda item: (item.cell, item.line, item.id))
    return Flow(
        stages=stages,
        edges=edges(stages, observed),
        snippets=tuple(snippets),
        warnings=tuple(dict.fromkeys(known.warnings)),
    )


def _binds(stage: StageCells) -> set[str]:
    nodes = (node for code in stage.cells for node in _tree(code, stage.name))
    return {name for node in nodes for name in statement_effects(node).binds}


def _tree(code: Code, stage: str | None) -> list[ast.stmt]:
    try:
        return statements(code)
    except PipelineError as error:
        error.stage, error.cell = stage, code.cell
        error.line = code.line + (error.line or 1) - 1
        raise


def _tree_or_nothing(code: Code) -> list[ast.stmt]:
    """The statements of an exploration cell, which is not run: one that is not Python gives nothing."""
    try:
        return parse(code.body).body
    except PipelineError:
        return []


def _params(outline: Outline, params: tuple[Param, ...], known: Known, names: Names) -> None:
    """Every statement of the params cell is a snippet; the names of parameters are provided as such."""
    declared = {param.name for param in params}
    known.scalars = frozenset(p.name for p in params if p.type in {"int", "float", "str", "bool", "none", "choice"})
    for code in outline.params:
        for index, node in enumerate(_tree(code, None)):
            found = statement_effects(node)
            bound = sorted(found.binds | _annotated(node))
            if not bound:
                continue
            kind = "param" if set(bound) & declared else "import"
            item = Snippet(
                id=f"{bound[0]}@{code.cell}.{index}",
                kind="param" if kind == "param" else "import",
                names=tuple(bound),
                source=ast.unparse(node) if code.body.count("\n") == 0 else known.source(code, node),
                cell=code.cell,
                line=code.line + node.lineno - 1,
                needs=tuple(sorted(name for name in found.reads if name not in bound and not hasattr(builtins, name))),
            )
            known.add(item, definition(node, containers=True), names.table.get)
            for name in bound:
                names.give(name, ("param", name) if name in declared else ("snippet", item.id))
                known.param_snippets[name] = item.id


def _annotated(node: ast.stmt) -> set[str]:
    return {node.target.id} if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) else set()


def _setup(outline: Outline, known: Known, names: Names) -> None:
    for code in outline.setup:
        tree = _tree(code, None)
        found = effects(tree)
        for node in tree:
            item = definition(node)
            if item is not None:
                known.setup_definitions.update(dict.fromkeys(item.names, item))
        known.setup_reads |= found.touched
        known.star |= bool(found.stars)
        for name in found.binds:
            names.give(name, ("setup", ""))


def _exploration_values(outline: Outline, cells: Sequence[StageCells], bound: Sequence[set[str]], known: Known) -> None:
    """Names that exploration cells compute: worth a clear error when a stage reads one."""
    for code in outline.exploration:
        for node in _tree_or_nothing(code):
            for name in statement_effects(node).binds:
                known.explored.setdefault(name, code.cell)
    for stage, binds in zip(cells, bound, strict=True):
        known.bound_in.update(dict.fromkeys(binds, stage.name))


def _explore(code: Code, node: ast.stmt, known: Known, names: Names) -> None:
    item = definition(node, containers=True)
    if item is None:
        line = config_magic(node)
        if line is not None:
            known.configure(line, code, node, None)
        return
    snippet = known.snippet(item, code, node, None, names.table.get)
    known.stand(node, snippet)
    for name in item.names:
        known.new_version(name)
        names.give(name, ("snippet", snippet.id))


class _Below:
    """Name -> the first stage that binds it, among those that were not taken away yet."""

    def __init__(self, cells: Sequence[StageCells], bound: Sequence[set[str]]) -> None:
        self._givers: dict[str, list[str]] = {}
        for stage, binds in zip(reversed(cells), reversed(bound), strict=True):
            for name in binds:
                self._givers.setdefault(name, []).append(stage.name)
        self._first = {name: givers[-1] for name, givers in self._givers.items()}

    def without(self, binds: set[str]) -> dict[str, str]:
        """The mapping behind the topmost stage, which is taken away. One dict, changed by the next call."""
        for name in binds:
            givers = self._givers[name]
            givers.pop()
            if givers:
                self._first[name] = givers[-1]
            else:
                del self._first[name]
        return self._first
