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


def found_by_name(value: Any) -> bool:
    """Whether importing its module and walking its qualified name gives this very object."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or "<locals>" in name:
        return False
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value
