"""The cells of two notebooks as units that can be swapped whole: parameters, setup, each stage, each cell of definitions."""

from __future__ import annotations

from typing import Literal

from nbpipe.explain.side import Side
from nbpipe.history.difference.matching import Piece, match
from nbpipe.model import Code, Pipeline, Snippet, StageCells, Value
from nbpipe.pipeline.code import cell_prints, snippet_print
from nbpipe.plan.key import stage_options

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
    #: Of a stage that differs: not in its code, but in its name or options.
    same_code: bool = False
    #: Names whose definition differs.
    defines: tuple[str, ...] = ()


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
    old = [stage for stage in a.outline.stages if stage.name in names]
    new = [stage for stage in b.outline.stages if stage.name in names]
    units = []
    for pair in match([_piece(stage) for stage in old], [_piece(stage) for stage in new]):
        x = old[pair.a] if pair.a is not None else None
        y = new[pair.b] if pair.b is not None else None
        units.append(
            Unit(
                ident=f"stage:{y.name}" if y is not None else f"gone:{x.name if x is not None else ''}",
                kind="stage",
                names=(x.name if x is not None else "", y.name if y is not None else ""),
                before=x.cells if x is not None else (),
                after=y.cells if y is not None else (),
                differs=x is None or y is None or x.name != y.name or _print(x) != _print(y),
                same_code=x is not None and y is not None and cell_prints(x.cells) == cell_prints(y.cells),
            )
        )
    return units


def _piece(stage: StageCells) -> Piece:
    return Piece(stage.name, "\n".join(code.body for code in stage.cells))


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


# ---------------------------------------------------------------------------------------------- definitions


def _definitions(a: Side, b: Side) -> list[Unit]:
    """Exploration cells that define something the metric's stages use. Only what is used counts."""
    used = {name for side in (a, b) for item in used_snippets(side) for name in item.names}
    old, new = _exploration(a, used), _exploration(b, used)
    units = []
    for pair in match([_defined(a, code, used) for code in old], [_defined(b, code, used) for code in new]):
        x = old[pair.a] if pair.a is not None else None
        y = new[pair.b] if pair.b is not None else None
        prints = _prints(a, x, used), _prints(b, y, used)
        changed = {name for one in set(prints[0].items()) ^ set(prints[1].items()) for name in one[0].split(",")}
        units.append(
            Unit(
                ident=f"definition:{y.cell}" if y is not None else f"gone-definition:{x.cell if x is not None else ''}",
                kind="definition",
                defines=tuple(sorted(changed & used)),
                before=(x,) if x is not None else (),
                after=(y,) if y is not None else (),
                differs=bool(changed),
            )
        )
    return units


def _exploration(side: Side, used: set[str]) -> list[Code]:
    cells = {item.cell for item in side.pipeline.snippets if used & set(item.names)}
    return [code for code in side.outline.exploration if code.cell in cells]


def _defined(side: Side, code: Code, used: set[str]) -> Piece:
    return Piece(",".join(_prints(side, code, used)), code.body)


def _prints(side: Side, code: Code | None, used: set[str]) -> dict[str, str]:
    """Names -> what defines them in the cell; of two definitions of a name both count."""
    found: dict[str, str] = {}
    for item in side.pipeline.snippets:
        if code is not None and item.cell == code.cell and used & set(item.names):
            names = ",".join(item.names)
            found[names] = f"{found.get(names, '')} {snippet_print(item)}"
    return found
