"""The analysis: which stage gives what to which. Stages are walked in notebook order with the names visible on the way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from nbpipe.dataflow.cells import Cells, Part
from nbpipe.dataflow.facts import Facts, Statement
from nbpipe.dataflow.flow import Flow, Linked
from nbpipe.dataflow.known import Known, Names
from nbpipe.dataflow.links import edges
from nbpipe.dataflow.missing import BUILTINS
from nbpipe.dataflow.ordering import check_order
from nbpipe.dataflow.stage import StageWalk
from nbpipe.model import Outline, Param, Snippet, Stage

__all__ = ["Flow", "analyze", "link"]


def analyze(outline: Outline, params: tuple[Param, ...]) -> Flow:
    """The dataflow of an outline, nothing of it remembered.

    Raises UndefinedNameError, CycleError or PipelineError with the stage, the cell and the line.
    """
    cells = Cells(outline)
    check_order(outline.stages, cells.whole)
    cells.learn()
    return cells.filled(link(outline, params, cells))


def link(outline: Outline, params: tuple[Param, ...], cells: Cells) -> Linked:
    """What follows from the facts of the cells, which is all that is asked of them. Raises as `analyze` does."""
    known = Known(folder=Path(outline.notebook.path).resolve().parent, mergeable=outline.mergeable)
    names = Names()
    _params(cells, params, known, names)
    _setup(cells, known, names)
    facts = [[cells.facts(part) for part in parts] for parts in cells.stages]
    bound = [_binds(each) for each in facts]
    explored = [(part, item) for part in cells.exploration for item in cells.facts(part).statements]
    for part, item in explored:
        for name in item.bound:
            known.explored.setdefault(name, part.code.cell)
    for stage, binds in zip(outline.stages, bound, strict=True):
        known.bound_in.update(dict.fromkeys(binds, stage.name))
    below = _Below([stage.name for stage in outline.stages], bound)
    walks = []
    pending = explored[::-1]
    checks: list[str] = []
    afters = []
    for position, stage in enumerate(outline.stages):
        first = stage.cells[0].cell
        while pending and pending[-1][0].code.cell < first:
            _explore(*pending.pop(), known, names)
        known.last = position == len(outline.stages) - 1
        known.alone = not (position or outline.setup or outline.params)
        walk = StageWalk(stage, known, names, later=below.without(bound[position]))
        for part, found in zip(cells.stages[position], facts[position], strict=True):
            known.cell = part.number
            for statement in found.statements:
                walk.statement(statement, part.code)
        walk.finish()
        afters.append(tuple(dict.fromkeys((*stage.options.after, *checks))))
        walks.append(walk)
        if stage.kind == "check":
            checks.append(stage.name)
    return _linked(walks, afters, known)


def _linked(walks: Sequence[StageWalk], afters: Sequence[tuple[str, ...]], known: Known) -> Linked:
    captured = known.captured()
    _pass_on(walks)
    _made_anew(walks, known)
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
    flows = tuple((walk.flow(wanted[walk.name]), after) for walk, after in zip(walks, afters, strict=True))
    stages = [
        Stage(name=walk.name, kind=walk.stage.kind, cells=(), options=walk.stage.options, after=after, flow=flow)
        for walk, (flow, after) in zip(walks, flows, strict=True)
    ]
    snippets = sorted(known.snippets.values(), key=lambda item: (item.cell, item.line, item.id))
    return Linked(
        flows=flows,
        edges=edges(stages, {}),
        snippets=tuple(snippets),
        origins=tuple(known.origins.get(item.id) for item in snippets),
        warnings=tuple(dict.fromkeys(known.warnings)),
    )


def _made_anew(walks: Sequence[StageWalk], known: Known) -> None:
    for ref, call in known.anew.items():
        users = [walk.name for walk in walks if ref in walk.definitions or known.snippets[ref].stage == walk.name]
        if len(users) > 1:
            item = known.snippets[ref]
            known.warnings.append(
                f"'{item.names[0]}' (cell {item.cell}, line {item.line}) is made anew in each of {', '.join(users)}, and {call} "
                "gives something else each time. Call it in one stage"
            )


def _pass_on(walks: Sequence[StageWalk]) -> None:
    """What nobody sees bound may come from any stage that nobody can see through: the last such stage hands on what it got."""
    by_name = {walk.name: walk for walk in walks}
    hidden = [walk for walk in walks if walk.dynamic]
    above = {walk.name: before for before, walk in pairwise(hidden)}
    for walk in reversed(walks):
        for name, giver in walk.inputs.items():
            between = by_name[giver]
            if giver in above and name not in between.writes and name not in between.inputs:
                between.inputs[name] = above[giver].name
                between.optional.add(name)


def _binds(facts: Sequence[Facts]) -> set[str]:
    return {name for found in facts for statement in found.statements for name in statement.bound}


def _params(cells: Cells, params: tuple[Param, ...], known: Known, names: Names) -> None:
    """Every statement of the params cell is a snippet; the names of parameters are provided as such."""
    declared = {param.name for param in params}
    known.scalars = frozenset(p.name for p in params if p.type in {"int", "float", "str", "bool", "none", "choice"})
    for part in cells.params:
        for found in cells.facts(part).statements:
            bound = sorted({*found.bound, found.declares} - {""})
            if not bound:
                continue
            item = Snippet(
                id=f"{bound[0]}@{part.code.cell}.{found.place}",
                kind="param" if set(bound) & declared else "import",
                names=tuple(bound),
                source=found.text,
                cell=part.code.cell,
                line=part.code.line + found.line - 1,
                needs=tuple(sorted(name for name, _ in found.reads if name not in bound and name not in BUILTINS)),
            )
            known.add(item, found.item, names.table.get)
            if found.anew:
                known.anew[item.id] = found.anew
            for name in bound:
                names.give(name, ("param", name) if name in declared else ("snippet", item.id))
                known.param_snippets[name] = item.id


#: In one kernel, setup cells find what the stages above left; here each stage begins anew.
_LEFT = "in one kernel it finds what the stages above left, and here nothing of it"


def _setup(cells: Cells, known: Known, names: Names) -> None:
    known.warnings += _asked_first([found for part in cells.setup for found in cells.facts(part).statements], names)
    for part in cells.setup:
        found = cells.facts(part)
        for statement in found.statements:
            if statement.item is not None:
                known.setup_definitions.update(dict.fromkeys(statement.item.names, statement.item))
        known.setup_reads.update(found.touched)
        known.star |= found.star
        for name in found.written:
            names.give(name, ("setup", ""))


def _asked_first(statements: Sequence[Statement], names: Names) -> list[str]:
    """What is said of setup cells that ask for their own names before they bind them, or for all names."""
    bound, early = set[str](), dict[str, None]()
    for found in statements:
        asked = {name for name, _ in (*found.reads, *found.soft)} - bound
        # `path = Path(path)` of a parameter gives the same each time; `n += 1` does not.
        early |= dict.fromkeys(name for name in sorted(asked) if not found.rebinds or name not in names.table)
        bound |= {name for name, _ in found.binds}
    said = [f"%%setup asks for '{name}' before it binds it: {_LEFT}" for name in early if name in bound]
    if any(found.dynamic for found in statements):
        said.append(f"%%setup asks for names that no analysis can see (globals(), exec): {_LEFT}")
    return said


def _explore(part: Part, found: Statement, known: Known, names: Names) -> None:
    if found.item is None:
        if found.magic is not None:
            known.configure(found.magic, part.code, found, None)
        known.leave_out(found, part.code.cell, names.table.get)
        return
    known.cell = part.number
    snippet = known.snippet(found.item, part.code, found, None, names.table.get)
    known.stand(found, snippet)
    for name in found.item.names:
        known.new_version(name)
        names.give(name, ("snippet", snippet.id))


class _Below:
    """Name -> the first stage that binds it, among those that were not taken away yet."""

    def __init__(self, stages: Sequence[str], bound: Sequence[set[str]]) -> None:
        self._givers: dict[str, list[str]] = {}
        for stage, binds in zip(reversed(stages), reversed(bound), strict=True):
            for name in binds:
                self._givers.setdefault(name, []).append(stage)
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
