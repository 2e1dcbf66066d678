"""When it matters which object something is: not for what cannot change, nor for what goes by its name."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import pathlib
import re
import sys
import uuid
from typing import Any

#: Objects of these cannot change, so it does not matter whether two places hold the same one.
IMMUTABLE = (
    dt.date,
    dt.time,
    dt.timedelta,
    dt.tzinfo,
    decimal.Decimal,
    enum.Enum,
    fractions.Fraction,
    int,
    float,
    str,
    bytes,
    tuple,
    complex,
    pathlib.PurePath,
    re.Pattern,
    uuid.UUID,
)

#: Objects of which a process has one, that change and belong to no value: by type, where each is found.
_SINGLE = {
    ("random", "Random"): ("random", "_inst"),
    ("numpy.random.mtrand", "RandomState"): ("numpy.random.mtrand", "_rand"),
    ("torch._C", "Generator"): ("torch", "default_generator"),
}


def may_be_single(kind: type) -> bool:
    """Whether an object of this type may be one that `single` knows."""
    return (kind.__module__, kind.__qualname__) in _SINGLE


def single(value: Any) -> tuple[str, str] | None:
    """Module and name of the process's own random state, when the value is that one and no other of its type."""
    place = _SINGLE.get((type(value).__module__, type(value).__qualname__))
    if place is None or getattr(sys.modules.get(place[0]), place[1], None) is not value:
        return None
    return place


def found_by_name(value: Any) -> bool:
    """Whether importing its module and walking its qualified name gives this very object."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or "<locals>" in name:
        return False
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value
