"""The cells of two notebooks as units that can be swapped whole: parameters, setup, each stage, each cell of definitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Literal

from nbpipe.explain.side import Side
from nbpipe.model import Code, Pipeline, Snippet, StageCells, Value
from nbpipe.pipeline.code import cell_prints, snippet_print
from nbpipe.plan.key import stage_options

#: Two cells that share less of their text than this are not the same cell edited.
_ALIKE = 0.6

Kind = Literal["params", "setup", "stage", "definition"]


class Unit(Value, frozen=True, kw_only=True):
    """Cells that belong together: `before` in the first notebook, `after` in the second; empty where it has none."""

    ident: str
    kind: Kind
    #: Names of the stage on each side; "" for what is no stage.
    names: tuple[str, str] = ("", "")
    before: tuple[Code, ...] = ()
    after: tuple[Code, ...] = ()
    #: They do not do the same.
    differs: bool = False


def match_units(a: Side, b: Side) -> list[Unit]:
    """The units of both notebooks that the metric may depend on; those of the second in its order, then what is gone."""
    units = [_params(a, b), _setup(a, b), *_stages(a, b), *_definitions(a, b)]
    found = [unit for unit in units if unit.before or unit.after]
    return sorted(found, key=lambda unit: unit.after[0].cell if unit.after else float("inf"))


def _setup(a: Side, b: Side) -> Unit:
    before, after = a.outline.setup, b.outline.setup
    return Unit(
        ident="setup", kind="setup", before=before, after=after, differs=cell_prints(before) != cell_prints(after)
    )


def _params(a: Side, b: Side) -> Unit:
    """They differ where more does than values: those are parameters' own differences."""
    before, after = _declared(a.pipeline), _declared(b.pipeline)
    both = {param.name for param in a.pipeline.params} & {param.name for param in b.pipeline.params}
    return Unit(
        ident="params",
        kind="params",
        before=a.outline.params,
        after=b.outline.params,
        differs=_shapes(a.pipeline, both) != _shapes(b.pipeline, both) or before != after,
    )


def _shapes(pipeline: Pipeline, names: set[str]) -> dict[str, tuple[object, ...]]:
    return {p.name: (p.type, p.choices, p.optional) for p in pipeline.params if p.name in names}


def _declared(pipeline: Pipeline) -> list[str]:
    """What the parameters cells hold besides literal values."""
    cells = {param.cell for param in pipeline.params}
    literal = {param.name for param in pipeline.params if param.type != "computed"}
    return [
        snippet_print(item)
        for item in pipeline.snippets
        if item.stage is None and item.cell in cells and not (item.kind == "param" and set(item.names) <= literal)
    ]


# ---------------------------------------------------------------------------------------------- stages


def _stages(a: Side, b: Side) -> list[Unit]:
    old, new = _upstream_stages(a), _upstream_stages(b)
    # A stage that only one run's metric depends on may still be in the other: then it is the same one.
    names = {stage.name for stage in (*old, *new)}
    old = [stage for stage in a.outline.stages if stage in old or stage.name in names]
    new = [stage for stage in b.outline.stages if stage in new or stage.name in names]
    pairs = _pairs(old, new)
    return [
        Unit(
            ident=f"stage:{(y or x).name}",  # type: ignore[union-attr]  # a pair has at least one
            kind="stage",
            names=(x.name if x else "", y.name if y else ""),
            before=x.cells if x else (),
            after=y.cells if y else (),
            differs=x is None or y is None or x.name != y.name or _print(x) != _print(y),
        )
        for x, y in pairs
    ]


def _upstream_stages(side: Side) -> list[StageCells]:
    cells = {code.cell for stage in side.upstream for code in stage.cells}
    cells |= {item.cell for item in used_snippets(side) if item.stage is not None}
    return [stage for stage in side.outline.stages if cells & {code.cell for code in stage.cells}]


def used_snippets(side: Side) -> list[Snippet]:
    """Definitions that the metric's stages use."""
    wanted = {ident for stage in side.upstream for ident in stage.flow.definitions}
    return [item for item in side.pipeline.snippets if item.id in wanted]


def _print(stage: StageCells) -> object:
    return cell_prints(stage.cells), stage_options(stage.options), stage.kind


def _pairs(old: Sequence[StageCells], new: Sequence[StageCells]) -> list[tuple[StageCells | None, StageCells | None]]:
    """Stages of the same name belong together; of the rest those whose code is most alike."""
    named = {stage.name: stage for stage in old}
    pairs: list[tuple[StageCells | None, StageCells | None]] = [(named.pop(s.name), s) for s in new if s.name in named]
    left = [stage for stage in new if stage.name not in {y.name for _, y in pairs if y is not None}]
    rest = list(named.values())
    for n, m in alike([_text(stage.cells) for stage in rest], [_text(stage.cells) for stage in left]):
        pairs.append((rest[n] if n is not None else None, left[m] if m is not None else None))
    return pairs


def _text(cells: Iterable[Code]) -> str:
    return "\n".join(code.body for code in cells)


def alike(old: Sequence[str], new: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """Indices of texts that belong together, the most alike first; then those that have no counterpart."""
    scores = [
        (SequenceMatcher(None, x, y, autojunk=False).ratio(), n, m)
        for n, x in enumerate(old)
        for m, y in enumerate(new)
    ]
    pairs: list[tuple[int | None, int | None]] = []
    used: tuple[set[int], set[int]] = set(), set()
    for score, n, m in sorted(scores, key=lambda item: (-item[0], item[1], item[2])):
        if score >= _ALIKE and n not in used[0] and m not in used[1]:
            pairs.append((n, m))
            used[0].add(n)
            used[1].add(m)
    pairs += [(n, None) for n in range(len(old)) if n not in used[0]]
    return pairs + [(None, m) for m in range(len(new)) if m not in used[1]]


# ---------------------------------------------------------------------------------------------- definitions


def _definitions(a: Side, b: Side) -> list[Unit]:
    """Exploration cells that define something the metric's stages use. Only what is used counts."""
    used = {name for side in (a, b) for item in used_snippets(side) for name in item.names}
    old, new = _exploration(a, used), _exploration(b, used)
    units = []
    for n, m in alike([code.body for code in old], [code.body for code in new]):
        before = (old[n],) if n is not None else ()
        after = (new[m],) if m is not None else ()
        prints = _prints(a, before, used), _prints(b, after, used)
        ident = f"definition:{new[m].cell}" if m is not None else f"gone:{old[n or 0].cell}"
        units.append(Unit(ident=ident, kind="definition", before=before, after=after, differs=prints[0] != prints[1]))
    return units


def _exploration(side: Side, used: set[str]) -> list[Code]:
    cells = {item.cell for item in side.pipeline.snippets if used & set(item.names)}
    return [code for code in side.outline.exploration if code.cell in cells]


def _prints(side: Side, cells: Iterable[Code], used: set[str]) -> list[str]:
    numbers = {code.cell for code in cells}
    found = (item for item in side.pipeline.snippets if item.cell in numbers and used & set(item.names))
    return [snippet_print(item) for item in found]
