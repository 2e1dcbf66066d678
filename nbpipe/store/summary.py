"""A few words about a value, for people and history: cheap, and never the value itself."""

from __future__ import annotations

from typing import Any

_MANY = 100


def type_name(value: object) -> str:
    """Qualified type name as people know it: `pandas.DataFrame`, `int`."""
    kind = type(value)
    module, name = kind.__module__, kind.__qualname__
    if module == "builtins":
        return name
    package = module.partition(".")[0]
    return f"{package}.{name}" if package in {"numpy", "pandas", "polars", "torch", "pyarrow"} else f"{module}.{name}"


def summarize(value: Any) -> dict[str, Any]:
    """Shape, dtype, columns or length, where the type has them."""
    package = type(value).__module__.partition(".")[0]
    found: dict[str, Any] = {}
    if package in {"numpy", "pandas", "polars", "torch", "pyarrow"}:
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple) and all(isinstance(size, int) for size in shape):
            found["shape"] = [int(size) for size in shape]
        if getattr(value, "dtype", None) is not None:
            found["dtype"] = str(value.dtype)
        if type(value).__name__ == "DataFrame":
            columns, dtypes = list(value.columns)[:_MANY], list(value.dtypes)[:_MANY]
            found["columns"] = [[str(name), str(dtype)] for name, dtype in zip(columns, dtypes, strict=True)]
    elif type(value) is int and value.bit_length() > _MANY * 3:
        found["bits"] = value.bit_length()
    elif type(value) in (bool, int, float, str, type(None)):
        text = repr(value)
        found["value"] = text if len(text) <= _MANY else f"{text[:_MANY]}…"
    elif isinstance(value, (list, tuple, dict, set, frozenset, bytes, bytearray)):
        found["len"] = len(value)
    return found
