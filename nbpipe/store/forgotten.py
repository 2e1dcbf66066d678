"""What values hold that their own pickles forget: where an exception came from, attributes that code hung on a frame."""

from __future__ import annotations

import sys
import types
from typing import Any


def origin_of(error: BaseException) -> tuple[BaseException | None, BaseException | None, bool] | None:
    """Cause, context, and whether the context is hidden; None where there is nothing of it."""
    found = (error.__cause__, error.__context__, error.__suppress_context__)
    return None if found == (None, None, False) else found


def made_by_arguments(error: BaseException) -> bool:
    """Whether a class written in Python gives it another `__init__`, and it has nothing but `args` and attributes."""
    kind = type(error)
    if not isinstance(kind.__init__, types.FunctionType) or kind.__reduce__ is not BaseException.__reduce__:
        return False
    native = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    return native.__basicsize__ == BaseException.__basicsize__


def may_have_attributes(value: Any) -> bool:
    """Whether it is a frame or a series of pandas: code can hang attributes on one, and pandas keeps none of them."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, (pandas.DataFrame, pandas.Series))


def attributes(value: Any) -> dict[str, Any]:
    """Attributes that code has hung on a frame or a series: `df.note = "cleaned"`. Accessors that it caches are none."""
    kind = type(value)
    return {name: item for name, item in vars(value).items() if name[:1] != "_" and not hasattr(kind, name)}
