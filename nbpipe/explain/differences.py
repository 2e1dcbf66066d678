"""What differs between two runs, as a list of swaps: each turns one thing from how the first run had it to the second's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from nbpipe.explain.data import DataFile
from nbpipe.explain.side import Side
from nbpipe.explain.units import Unit, used_snippets
from nbpipe.model import Code, Pipeline, Value
from nbpipe.pipeline.code import cell_prints
from nbpipe.pipeline.modules import reach

Kind = Literal["data", "module", "definition", "setup", "params", "code", "order", "parameter", "seed"]
Group = Literal["data", "code", "params"]
#: The order in which groups are swapped unless another is asked for.
ORDER: tuple[Group, ...] = ("data", "code", "params")
_GROUPS: dict[Kind, Group] = {"data": "data", "parameter": "params", "seed": "params"}
_LONGEST = 24
#: Names that a label holds.
_NAMES = 3


class Difference(Value, frozen=True, kw_only=True):
    """One swap. `ident` is unique; `label` is for people."""

    ident: str
    kind: Kind
    label: str
    stage: str = ""
    #: Its first cell, in the second notebook unless it is only in the first.
    cell: int | None = None
    #: It touches something the metric depends on.
    upstream: bool = True

    @property
    def group(self) -> Group:
        """What `--order` calls it."""
        return _GROUPS.get(self.kind, "code")


def differences(
    a: Side, b: Side, units: Sequence[Unit], files: Sequence[DataFile], order: Sequence[Group] = ORDER
) -> list[Difference]:
    """All of them, in the order in which they are swapped.

    Within the code: what is shared, the parameters cell, definitions and stages in notebook order, then what is gone,
    from the bottom up, so that nothing is taken away before what used it.
    """
    found = [*_data(files), *_modules(a, b), *_units(units), *_order(units), *_params(a, b), *_elsewhere(a, b, units)]
    return sorted(found, key=lambda item: order.index(item.group))


def _data(files: Sequence[DataFile]) -> list[Difference]:
    return [
        Difference(ident=f"data:{file.path}", kind="data", label=f"{file.path}: contents")
        for file in files
        if file.swappable
    ]


def _modules(a: Side, b: Side) -> list[Difference]:
    """Modules that both use; one that only one run uses is nothing without the code that imports it."""
    reached = {name for side in (a, b) for stage in side.upstream for name in _reached(side, stage.name)}
    return [
        Difference(
            ident=f"module:{name}",
            kind="module",
            label=f"{b.pipeline.modules[name][0]}: code",
            upstream=name in reached,
        )
        for name in sorted(a.pipeline.modules.keys() & b.pipeline.modules.keys())
        if a.pipeline.modules[name] != b.pipeline.modules[name]
    ]


def _reached(side: Side, stage: str) -> tuple[str, ...]:
    found = next(item for item in side.upstream if item.name == stage)
    return reach(side.pipeline, found, used_snippets(side))


def _units(units: Sequence[Unit]) -> list[Difference]:
    kinds: dict[str, Kind] = {"stage": "code", "definition": "definition", "setup": "setup", "params": "params"}
    first = {"setup": 0, "params": 1}
    changed = [unit for unit in units if unit.differs]
    kept = sorted((u for u in changed if u.after), key=lambda u: (first.get(u.kind, 2), u.after[0].cell))
    gone = sorted((u for u in changed if not u.after), key=lambda u: -u.before[0].cell)
    return [
        Difference(
            ident=unit.ident,
            kind=kinds[unit.kind],
            label=_label(unit),
            stage=unit.names[1] or unit.names[0],
            cell=(unit.after or unit.before)[0].cell,
        )
        for unit in (*kept, *gone)
    ]


def _label(unit: Unit) -> str:
    place = _place(unit.after or unit.before)
    said = "new" if not unit.before else "gone" if not unit.after else "changed"
    if unit.kind == "definition":
        return f"{', '.join(unit.defines[:_NAMES])}{', …' if len(unit.defines) > _NAMES else ''}: definition {said}, {place}"
    if unit.kind != "stage":
        return f"{'%%params' if unit.kind == 'params' else '%%setup'}: {said}, {place}"
    old, new = unit.names
    if not old or not new:
        return f"{old or new}: stage {said}, {place}"
    name = new if old == new else f"{old} → {new}"
    what = "code" if not unit.same_code else "options" if old == new else "renamed"
    return f"{name}: {what}, {place}"


def _place(cells: Sequence[Code]) -> str:
    numbers = [str(code.cell) for code in cells]
    return f"cell {numbers[0]}" if len(numbers) == 1 else f"cells {', '.join(numbers)}"


def _order(units: Sequence[Unit]) -> list[Difference]:
    """Stages and definitions that both have stand in another order."""
    both = [unit for unit in units if unit.before and unit.after and unit.kind in {"stage", "definition"}]
    old = sorted(both, key=lambda unit: unit.before[0].cell)
    new = sorted(both, key=lambda unit: unit.after[0].cell)
    return [Difference(ident="order", kind="order", label="order of the cells")] if old != new else []


def _params(a: Side, b: Side) -> list[Difference]:
    """Parameters that both declare and whose values differ, given or not; and the run's seed."""
    found = []
    reached = {name for side in (a, b) for name in _read_params(side)}
    names = [param.name for param in b.pipeline.params if param.name in {p.name for p in a.pipeline.params}]
    for name in names:
        old, new = a.params.get(name, _UNKNOWN), b.params.get(name, _UNKNOWN)
        if _same(old, new):
            continue
        label = f"{name} {_value(old)} → {_value(new)}"
        found.append(Difference(ident=f"param:{name}", kind="parameter", label=label, upstream=name in reached))
    if a.record.seed != b.record.seed:
        found.append(Difference(ident="seed", kind="seed", label=f"seed {a.record.seed} → {b.record.seed}"))
    return found


_UNKNOWN = object()


def _same(old: Any, new: Any) -> bool:
    return type(old) is type(new) and bool(old == new)


def _read_params(side: Side) -> set[str]:
    """Parameters that the metric's stages read; all of them where one is computed from others."""
    if any(param.type == "computed" for param in side.pipeline.params):
        return {param.name for param in side.pipeline.params}
    return {name for stage in side.upstream for name in stage.flow.params}


def _value(item: Any) -> str:
    if item is _UNKNOWN:
        return "computed"
    text = item if isinstance(item, str) else repr(item)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _elsewhere(a: Side, b: Side, units: Sequence[Unit]) -> list[Difference]:
    """Stages of either notebook that the metric does not depend on, and that differ."""
    inside = {name for unit in units for name in unit.names}
    old, new = (_bodies(side.pipeline, inside) for side in (a, b))
    found = []
    for name in sorted({*old, *new}, key=[*new, *old].index):
        if old.get(name) != new.get(name):
            said = "stage new" if name not in old else "stage gone" if name not in new else "code"
            cells = [
                code.cell
                for stage in (b if name in new else a).pipeline.stages
                if stage.name == name
                for code in stage.cells
            ]
            found.append(
                Difference(
                    ident=f"elsewhere:{name}",
                    kind="code",
                    label=f"{name}: {said}",
                    stage=name,
                    cell=cells[0],
                    upstream=False,
                )
            )
    return found


def _bodies(pipeline: Pipeline, inside: set[str]) -> dict[str, list[str]]:
    return {stage.name: cell_prints(stage.cells) for stage in pipeline.stages if stage.name not in inside}
