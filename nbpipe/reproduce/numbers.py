"""How far two values of safe formats are apart. A tolerance is relative above 1 and absolute below; integers are exact."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import numpy as np

_WIDEST = 60


class Gap(msgspec.Struct, frozen=True):
    """How two values differ: one line, the largest absolute difference of numbers, and whether it is tolerated."""

    text: str
    largest: float | None
    tolerated: bool


def gap(before: Any, after: Any, tolerance: float) -> Gap | None:
    """How `after` differs from `before`; None if all in them is equal."""
    walk = _Walk(tolerance)
    walk.visit(before, after, "")
    if walk.structure:
        return Gap(walk.structure, walk.largest or None, tolerated=False)
    if walk.largest is None:
        return None
    return Gap(f"largest difference {walk.largest:.3g}{walk.where}", walk.largest, tolerated=not walk.beyond)


class _Walk:
    """Walks two values side by side. The first difference that is none of numbers ends what can be said of both."""

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self.largest: float | None = None
        self.where = ""
        self.beyond = False
        self.structure = ""

    def visit(self, before: Any, after: Any, where: str) -> None:
        if type(before) is not type(after):
            self._other(where, type(before).__name__, type(after).__name__)
        elif isinstance(before, Mapping):
            self._mapping(before, after, where)
        elif isinstance(before, (list, tuple)):
            if len(before) != len(after):
                self._other(where, f"{len(before)} items", f"{len(after)} items")
            for number, pair in enumerate(zip(before, after, strict=False)):
                self.visit(*pair, f"{where}[{number}]")
        elif type(before) is float:
            self._float(before, after, where)
        elif type(before).__module__.partition(".")[0] in ("numpy", "pandas", "polars", "pyarrow", "torch"):
            self._arrays(_columns(before), _columns(after), where)
        elif before != after:
            if type(before) is int:
                self._far(abs(before - after), where)
            self._other(where, _shown(before), _shown(after))

    def _mapping(self, before: Mapping[Any, Any], after: Mapping[Any, Any], where: str) -> None:
        if list(before) != list(after):
            odd = [name for name in (*before, *after) if (name in before) != (name in after)]
            self._other(where, "names", f"others ({_shown(odd[0])})" if odd else "in another order")
        for name in before:
            if name in after:
                self.visit(before[name], after[name], f"{where}[{name!r}]")

    def _float(self, before: float, after: float, where: str) -> None:
        if before == after or (math.isnan(before) and math.isnan(after)):
            return
        apart = abs(before - after)
        if not math.isfinite(apart):
            self._other(where, str(before), str(after))
            return
        self._far(apart, where)
        self.beyond |= apart > self.tolerance * max(1.0, abs(before), abs(after))

    def _arrays(self, before: dict[str, Any], after: dict[str, Any], where: str) -> None:
        import numpy as np

        if list(before) != list(after):
            self._other(where, f"columns {_shown(list(before))}", _shown(list(after)))
            return
        for name, old in before.items():
            new, place = after[name], f"{where}[{name!r}]" if name else where
            if old.shape != new.shape:
                self._other(place, f"shape {old.shape}", f"shape {new.shape}")
            elif old.dtype != new.dtype:
                self._other(place, str(old.dtype), str(new.dtype))
            elif old.dtype.names is not None:
                self._arrays({f: old[f] for f in old.dtype.names}, {f: new[f] for f in old.dtype.names}, place)
            elif old.dtype.kind == "O":
                self.visit(old.ravel().tolist(), new.ravel().tolist(), place)
            elif old.dtype.kind in "fc":
                self._floats(old, new, place)
            elif odd := int(np.count_nonzero(old != new)):
                if old.dtype.kind in "iu":
                    self._far(float(np.max(np.abs(old.astype(float) - new.astype(float)))), place)
                self._other(place, f"{odd} of {old.size} values", "others")

    def _floats(self, before: np.ndarray[Any, Any], after: np.ndarray[Any, Any], where: str) -> None:
        import numpy as np

        wide = np.result_type(before.dtype, np.float64)
        old, new = np.atleast_1d(before).astype(wide), np.atleast_1d(after).astype(wide)
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.abs(old - new)
        apart[(old == new) | (np.isnan(old) & np.isnan(new))] = 0
        if not apart.size or not apart.any():
            return
        odd = int(np.count_nonzero(~np.isfinite(apart)))
        if odd:
            self._other(where, f"{odd} of {apart.size} values", "nan or infinite on one side")
            return
        place = tuple(int(part) for part in np.unravel_index(int(apart.argmax()), apart.shape))
        self._far(float(apart.max()), f"{where}[{', '.join(map(str, place))}]")
        scale = np.maximum(1.0, np.maximum(np.abs(old), np.abs(new)))
        self.beyond |= bool((apart > self.tolerance * scale).any())

    def _far(self, apart: float, where: str) -> None:
        if apart > (self.largest or 0.0):
            self.largest, self.where = float(apart), f" at {where}" if where else ""

    def _other(self, where: str, before: str, after: str) -> None:
        self.structure = self.structure or f"{where + ': ' if where else ''}{before} → {after}"


def _columns(value: Any) -> dict[str, Any]:
    """An array, tensor, frame or table as NumPy arrays by name; "" names the only one."""
    import numpy as np

    package, kind = type(value).__module__.partition(".")[0], type(value).__name__
    if package == "torch":
        tensor = value.detach().cpu()
        return {"": (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()}
    if package == "pandas" and kind == "DataFrame":
        found = {str(name): value.iloc[:, number].to_numpy() for number, name in enumerate(value.columns)}
        return {"index": value.index.to_numpy(), **found}
    if package == "pandas" and kind == "Series":
        return {"index": value.index.to_numpy(), "": value.to_numpy()}
    if package == "polars" and kind == "DataFrame":
        return {name: value[name].to_numpy() for name in value.columns}
    if package == "pyarrow":
        return {name: value[name].to_numpy() for name in value.column_names}
    return {"": np.asarray(value)}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _WIDEST else f"{text[:_WIDEST]}…"
