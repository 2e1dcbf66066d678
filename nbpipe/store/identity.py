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
from importlib import import_module
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


#: The NaN that a library hands out, which `in`, `is` and dicts tell from every other: name -> module and attribute.
_NANS = {"numpy": "nan", "math": "nan"}


def nan_owner(value: float) -> str:
    """The module whose own NaN this very object is; "" for any other number."""
    return next((name for name, at in _NANS.items() if getattr(sys.modules.get(name), at, None) is value), "")


def nan_of(owner: str) -> float:
    """The NaN of a module that `nan_owner` named."""
    found: float = getattr(import_module(owner), _NANS[owner])
    return found


def hashed_by_value(value: object) -> bool:
    """Whether its hash, and so its place in a set, is the same in every process that hashes texts alike."""
    if isinstance(value, (tuple, frozenset)):
        return all(map(hashed_by_value, value))
    return value is not None and type(value).__hash__ not in (object.__hash__, type.__hash__)


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
