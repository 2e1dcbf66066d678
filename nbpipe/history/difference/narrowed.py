"""A run or a notebook seen beside a trial: the one cell that is the trial's, and what a trial can know of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from nbpipe.history.difference.matching import ALIKE, similarity
from nbpipe.history.difference.shape import CodeText, Note, ParamValue
from nbpipe.history.difference.view import Executed, Facts, Sources, Unit, View
from nbpipe.model import Artifact, FileState, Outcome

if TYPE_CHECKING:
    from nbpipe.store.base import ObjectStore


class Narrowed:
    """The other side of a trial. What a trial says nothing of (other cells, definitions, modules) is left out."""

    def __init__(self, whole: View, trial: View) -> None:
        self._whole = whole
        self._trial = trial
        self.about = whole.about
        self.notes: list[Note] = whole.notes
        self._cell, self._unit = self._chosen(trial.sources().stages[0])

    def sources(self) -> Sources:
        """The stage's cell that is most like the trial's."""
        return Sources(stages=(self._unit,) if self._unit is not None else ())

    def params(self) -> Mapping[str, ParamValue]:
        """Values of those that the trial read."""
        known = self._trial.params()
        return {
            name: ParamValue(value=param.value, cut=param.cut)
            for name, param in self._whole.params().items()
            if name in known
        }

    def facts(self, stage: str) -> Facts:
        """Of the whole stage."""
        return replace(self._whole.facts(stage), identity="")

    def key_parts(self, stage: str) -> Mapping[str, str]:
        """Of the whole stage."""
        return self._whole.key_parts(stage)

    def outcome(self, stage: str) -> Outcome | None:  # noqa: ARG002 - of no stage
        """None: a trial has none to compare it with."""
        return None

    def inputs(self, stage: str) -> Mapping[str, Artifact]:
        """Those that the trial read, too."""
        known = self._trial.inputs(self._trial.about.stage)
        return {name: artifact for name, artifact in self._whole.inputs(stage).items() if name in known}

    def curves(self, stage: str) -> Mapping[str, Sequence[tuple[int, float]]]:  # noqa: ARG002
        """None."""
        return {}

    def executed(self, stage: str) -> Executed | None:
        """Of the cell."""
        whole = self._whole.executed(stage)
        if whole is None:
            return None
        return Executed("", whole.size, lambda: [cell for cell in whole.read() if cell.get("cell") == self._cell])

    def environment(self) -> Mapping[str, Any]:
        """Facts that the trial has, too."""
        trial, whole = self._trial.environment(), self._whole.environment()
        found = {name: whole[name] for name in whole if trial.get(name) is not None}
        packages = found.get("packages")
        if isinstance(packages, dict):
            found["packages"] = {name: packages[name] for name in packages if name in trial["packages"]}
        if isinstance(found.get("git"), dict):
            found["git"] = {"commit": found["git"].get("commit")}
        return found

    def file_now(self, path: str) -> FileState | None:
        """Of the whole."""
        return self._whole.file_now(path)

    def objects(self) -> ObjectStore | None:
        """Of the whole."""
        return self._whole.objects()

    def _chosen(self, trial: Unit) -> tuple[int, Unit | None]:
        """The cell of the stage with the trial's name, or of one that does the same."""
        stages = self._whole.sources().stages
        named = [unit for unit in stages if unit.text.name == trial.text.name]
        cells = [(number, cell) for unit in named or stages for number, cell in _cells(unit)]
        likeness = [(similarity(cell.bodies[0], trial.bodies[0]), -at) for at, (_, cell) in enumerate(cells)]
        near, at = max(likeness, default=(0.0, 0))
        if not cells or (not named and near < ALIKE):
            return 0, None
        return cells[-at]


def _cells(unit: Unit) -> list[tuple[int, Unit]]:
    """The cells of a stage, each as a stage of its own."""
    lines = unit.text.text.split("\n")
    ends = [start.line - 1 for start in unit.text.cells[1:]] + [len(lines)]
    found = []
    for start, end, body in zip(unit.text.cells, ends, unit.bodies, strict=False):
        cell = CodeText(
            name=unit.text.name,
            text="\n".join(lines[start.line - 1 : end]),
            cells=(msgspec.structs.replace(start, line=1),),
        )
        magic = cell.text.partition("\n")[0] if cell.text.startswith("%%") else ""
        found.append((start.cell, replace(unit, text=cell, bodies=(body,), options=None, magic=magic)))
    return found
