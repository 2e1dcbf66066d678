"""The value of a metric as a finite number, from what a name stands for after a cell. Runs no code of the user's."""

from __future__ import annotations

import math
import sys
from typing import Any

from nbpipe.live.facts import ABSENT, fact, type_name

_NUMBERS = (int, float, bool)


def number(value: Any) -> float | None:
    """The number; of a sequence its last element. None for what is no number, or cannot be told quickly."""
    try:
        found = _number(value)
    except Exception:  # noqa: BLE001 - a library's own value in an odd state has no number
        return None
    return found if found is not None and math.isfinite(found) else None


def _number(value: Any) -> float | None:
    kind = type(value)
    if kind in _NUMBERS:
        return float(value)
    if kind in (list, tuple):
        last = value[-1] if value else None
        return None if type(last) in (list, tuple) else _number(last)
    if type_name(kind).startswith("numpy."):
        found = fact(value)
        if found.shape is not None:
            return float(value[-1] if len(found.shape) == 1 else value)
        return None if found.content is ABSENT else float(value)
    pandas, torch = sys.modules.get("pandas"), sys.modules.get("torch")
    if pandas is not None and kind is vars(pandas).get("Series"):
        return _number(value.iat[-1])
    if torch is not None and kind is vars(torch).get("Tensor") and value.device.type == "cpu" and value.numel() == 1:
        return float(value.item())
    return None
