"""A notebook between two others: some of its cells are the first's, some the second's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from nbpipe.explain.side import Side
from nbpipe.explain.units import Unit
from nbpipe.model import Cell

_UNKNOWN = object()


class Hybrid:
    """Gives notebook, parameters and seed for any set of swaps. Pure; knows nothing of files.

    With nothing swapped the cells are the first notebook's in its order, with everything swapped the second's: only
    those that the metric may depend on.
    """

    def __init__(self, a: Side, b: Side, units: Sequence[Unit], swaps: AbstractSet[str]) -> None:
        self._a = a
        self._b = b
        self._units = units
        #: Every difference there is: a unit that has none is as in the first notebook until all are swapped.
        self._swaps = swaps

    def notebook(self, swapped: AbstractSet[str]) -> bytes:
        """The bytes of an `.ipynb`."""
        document = {
            "cells": [_document(cell) for cell in self._cells(swapped)],
            "metadata": self._b.notebook.metadata,
            "nbformat": 4,
            "nbformat_minor": 4,
        }
        return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")

    def params(self, swapped: AbstractSet[str]) -> dict[str, Any]:
        """Every value, given explicitly: defaults in the cells do not count."""
        found = {}
        for name in self._declared(swapped):
            second = f"param:{name}" in swapped or name not in {p.name for p in self._a.pipeline.params}
            value = (self._b if second else self._a).params.get(name, _UNKNOWN)
            if value is not _UNKNOWN:
                found[name] = value
        return found

    def seed(self, swapped: AbstractSet[str]) -> int:
        """Seed of the run."""
        return (self._b if "seed" in swapped else self._a).record.seed

    def givers(self, swapped: AbstractSet[str]) -> list[str]:
        """Stages of the hybrid that may give the metric: the two runs' own, under the names they have in it, in order."""
        givers = {self._a.upstream[-1].name, self._b.upstream[-1].name}
        found = []
        for unit in self._sequence(swapped):
            side = self._side(unit, swapped)
            if unit.kind == "stage" and givers & set(unit.names) and side is not None:
                found.append(unit.names[side is self._b])
        return found

    def ambiguous(self, swapped: AbstractSet[str]) -> str:
        """A name that two stages would have; "" if there is none."""
        sides = [(unit, self._side(unit, swapped)) for unit in self._units if unit.kind == "stage"]
        names = [unit.names[side is self._b] for unit, side in sides if side is not None]
        return next((name for name in names if names.count(name) > 1), "")

    # -- cells

    def _side(self, unit: Unit, swapped: AbstractSet[str]) -> Side | None:
        """Whose cells a unit has; None: it is not there."""
        second = unit.ident in swapped or swapped >= self._swaps
        found = unit.after if second else unit.before
        return (self._b if second else self._a) if found else None

    def _cells(self, swapped: AbstractSet[str]) -> list[Cell]:
        cells = self._extra_params(swapped)
        for unit in self._sequence(swapped):
            side = self._side(unit, swapped)
            if side is not None:
                numbers = [code.cell for code in (unit.after if side is self._b else unit.before)]
                cells += [side.notebook.cells[number - 1] for number in numbers]
        return cells

    def _sequence(self, swapped: AbstractSet[str]) -> list[Unit]:
        """Units in the order of one notebook, those that only the other has behind the one they follow there."""
        second = "order" in swapped or swapped >= self._swaps
        main = sorted((u for u in self._units if _at(u, second=second)), key=lambda u: _at(u, second=second))
        other = sorted((u for u in self._units if _at(u, second=not second)), key=lambda u: _at(u, second=not second))
        for n, unit in enumerate(other):
            if unit not in main:
                main.insert(main.index(other[n - 1]) + 1 if n else 0, unit)
        return main

    def _extra_params(self, swapped: AbstractSet[str]) -> list[Cell]:
        """A cell that declares the parameters which only the other notebook's cells declare."""
        unit = next((unit for unit in self._units if unit.kind == "params"), None)
        base = self._side(unit, swapped) if unit is not None else None
        known = {param.name for param in base.pipeline.params} if base is not None else set()
        lines = []
        for side in (self._a, self._b):
            if (side is self._b and not swapped) or (side is self._a and swapped >= self._swaps):
                continue
            for param in side.pipeline.params:
                if param.name not in known and param.name in side.params:
                    known.add(param.name)
                    lines.append(f"{param.name} = {side.params[param.name]!r}")
        return [Cell(number=1, kind="code", source="%%params\n" + "\n".join(lines))] if lines else []

    def _declared(self, swapped: AbstractSet[str]) -> list[str]:
        unit = next((unit for unit in self._units if unit.kind == "params"), None)
        base = self._side(unit, swapped) if unit is not None else None
        found = [param.name for param in base.pipeline.params] if base is not None else []
        if swapped >= self._swaps or not swapped:
            return found
        names = [
            param.name for side in (self._a, self._b) for param in side.pipeline.params if param.name in side.params
        ]
        return list(dict.fromkeys([*found, *names]))


def _at(unit: Unit, *, second: bool) -> int:
    cells = unit.after if second else unit.before
    return cells[0].cell if cells else 0


def _document(cell: Cell) -> Mapping[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": cell.metadata,
        "outputs": [],
        "source": cell.source,
    }
