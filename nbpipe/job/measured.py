"""Metrics of a stage, and the thresholds that its check compares them with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nbpipe.model import Failure, JobSpec

#: What a value raises that cannot be made a number.
_NO_NUMBER = (TypeError, ValueError, IndexError, OverflowError)


class Measured:
    """Numbers read from the namespace when the cells are done."""

    def __init__(self, spec: JobSpec, names: Mapping[str, Any]) -> None:
        self._spec = spec
        self._names = names
        self.warnings: list[str] = []

    def metrics(self) -> dict[str, float]:
        """Values of the metrics asked for; the last element of a sequence. A missing or infinite one is a warning."""
        found = {}
        for name in self._spec.metrics:
            try:
                value = _number(self._names[name])
            except (KeyError, *_NO_NUMBER):
                self.warnings.append(f"metric '{name}' is not a number at the end of the stage")
                continue
            if math.isfinite(value):
                found[name] = value
            else:
                self.warnings.append(f"metric '{name}' is {value} at the end of the stage: left out")
        return found

    def rejected(self, metrics: dict[str, float]) -> Failure | None:
        """The first threshold that does not hold, with the values that it compares."""
        from nbpipe.notebook.thresholds import holds, threshold_names

        for text in self._spec.thresholds:
            own, champion = threshold_names(text)
            if champion and not self._spec.champion:
                self.warnings.append(f"there is no champion yet, so '{text}' was not compared")
                continue
            values: dict[str, Any] = {**self._spec.known_metrics, **metrics}
            for name in own:
                if name in self._names:
                    try:
                        values[name] = _number(self._names[name])
                    except _NO_NUMBER:
                        return self._failure(f"{text} cannot be computed: {name} is no number")
            shown = [f"{name} = {values[name]:.6g}" for name in own if name in values]
            shown += [f"champion.{n} = {self._spec.champion[n]:.6g}" for n in champion if n in self._spec.champion]
            try:
                ok = holds(text, values, self._spec.champion)
                said = f"{text} does not hold: {', '.join(shown)}"
            except KeyError as missing:
                ok, said = False, f"{text} cannot be computed: there is no {missing.args[0]}"
            if not ok:
                return self._failure(said)
        return None

    def _failure(self, said: str) -> Failure:
        return Failure(code="rejected", message=said, cell=self._spec.cells[0].cell, line=1)


def _number(value: Any) -> float:
    if isinstance(value, (list, tuple)) or (getattr(value, "ndim", None) or 0) > 0:
        value = value[-1]
    return float(value)
