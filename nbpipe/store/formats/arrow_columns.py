"""One-dimensional arrays of pandas as Arrow arrays, with a short JSON description of what Arrow does not say.

`describe` decides by structure whether an array comes back exactly; `encode` and `decode` follow its description.
Data buffers hold the very bytes of pandas' own; a validity bitmap is added where other readers should see a null.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbpipe.store.formats.arrow_file import Mapped

_BITS_TO_SIGNED = {1: "int8", 2: "int16", 4: "int32", 8: "int64"}
_LARGEST = 8
_UTF8_PIECE = 1 << 16


def describe(array: Any) -> dict[str, Any] | None:
    """How to store it; None if it would not come back equal in value and type."""
    import numpy as np
    import pandas as pd

    kind = type(array)
    if kind is np.ndarray:
        if array.dtype == object:
            return {"as": "object"} if _only_text(array) else None
        return {"as": "numpy", "dtype": array.dtype.str} if fixed(array.dtype) else None
    if kind is pd.arrays.NumpyExtensionArray:
        return describe(array.to_numpy())
    if kind in (pd.arrays.DatetimeArray, pd.arrays.TimedeltaArray):
        return _describe_time(array)
    if kind is pd.arrays.PeriodArray:
        name = str(array.dtype)
        return {"as": "period", "dtype": name} if pd.PeriodDtype(name[7:-1]) == array.dtype else None
    if kind is pd.Categorical:
        from nbpipe.store.formats.arrow_axes import describe_index

        inner = describe_index(array.categories)
        if inner is None or inner["index"] == "multi" or "freq" in inner:
            return None
        return {"as": "category", "ordered": bool(array.ordered), "categories": inner}
    if kind in (pd.arrays.IntegerArray, pd.arrays.FloatingArray, pd.arrays.BooleanArray):
        return {"as": "masked", "type": kind.__name__, "dtype": array._data.dtype.str}  # noqa: SLF001 - no public way
    return _describe_arrow(array)


def _describe_time(array: Any) -> dict[str, Any] | None:
    zone = getattr(array, "tz", None)
    found = {"as": "datetime" if array.dtype.kind == "M" else "timedelta", "unit": array.unit}
    if zone is None:
        return found
    if zone is dt.timezone.utc:
        return {**found, "zone": ""}
    if type(zone) is zoneinfo.ZoneInfo and zone.key and zone is zoneinfo.ZoneInfo(zone.key):
        return {**found, "zone": zone.key}
    return None


def _describe_arrow(array: Any) -> dict[str, Any] | None:
    import pandas as pd

    from nbpipe.store.formats.arrow_tables import exact_type

    if type(array) not in (pd.arrays.ArrowStringArray, pd.arrays.ArrowExtensionArray):
        return None
    inside = array.__arrow_array__()
    small = inside.nbytes < 2**31 or inside.num_chunks == 1
    if not (small and exact_type(inside.type)):
        return None
    if type(array) is pd.arrays.ArrowExtensionArray:
        return {"as": "arrow"}
    return {"as": "text", "missing": "NA" if array.dtype.na_value is pd.NA else "nan"}


def fixed(dtype: Any) -> bool:
    """Whether it is a bool or a number in the machine's own byte order that Arrow has a type for."""
    return bool(dtype.kind in "biuf" and dtype.isnative and dtype.itemsize <= _LARGEST)


def _only_text(array: Any) -> bool:
    """Whether all is text that UTF-8 has, or None."""
    items = array.ravel().tolist()
    if not set(map(type, items)) <= {str, type(None)}:
        return False
    odd = [item for item in items if item is not None and not item.isascii()]
    try:
        for start in range(0, len(odd), _UTF8_PIECE):
            "".join(odd[start : start + _UTF8_PIECE]).encode()
    except UnicodeEncodeError:
        return False
    return True


def encode(array: Any, how: dict[str, Any]) -> Any:
    """The Arrow array; contiguous data is not copied."""
    import numpy as np
    import pyarrow as pa

    kind = how["as"]
    if kind == "object":
        return pa.array(array.tolist(), pa.large_string())
    if kind == "numpy":
        return numbers(np.asarray(array), None)
    if kind in ("datetime", "timedelta"):
        made = pa.duration(how["unit"]) if kind == "timedelta" else pa.timestamp(how["unit"], _zone_name(how))
        return numbers(array.view("i8"), np.asarray(array.isna()), made)
    if kind == "period":
        return numbers(array.view("i8"), None)
    if kind == "category":
        from nbpipe.store.formats.arrow_axes import encode_labels

        codes = numbers(array.codes, np.asarray(array.codes < 0))
        return pa.DictionaryArray.from_arrays(codes, encode_labels(array.categories, how["categories"]), safe=False)
    if kind == "masked":
        return numbers(array._data, array._mask)  # noqa: SLF001
    whole = array.__arrow_array__().combine_chunks()
    return whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)


def decode(array: Any, how: dict[str, Any], mapped: Mapped) -> Any:
    """The array of pandas (a NumPy array for "numpy" and "object")."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    kind = how["as"]
    if kind == "object":
        return array.to_numpy(zero_copy_only=False) if len(array) else np.empty(0, object)
    if kind == "numpy":
        return mapped.values(array, np.dtype(how["dtype"]))
    if kind in ("datetime", "timedelta", "period"):
        return time_array(mapped.values(array, np.dtype("i8")), how)
    if kind == "category":
        from nbpipe.store.formats.arrow_axes import decode_labels

        codes = mapped.values(array.indices, np.dtype(str(array.type.index_type)))
        labels = decode_labels(array.dictionary, how["categories"], mapped)
        return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(labels, how["ordered"]), validate=False)
    if kind == "masked":
        data = mapped.values(array, np.dtype(how["dtype"]))
        return getattr(pd.arrays, how["type"])(data, np.asarray(array.is_null()))
    chunked = pa.chunked_array([array])
    if kind == "arrow":
        return pd.arrays.ArrowExtensionArray(chunked)
    missing = pd.NA if how["missing"] == "NA" else np.nan
    return pd.arrays.ArrowStringArray(chunked, dtype=pd.StringDtype("pyarrow", na_value=missing))


def time_array(ticks: Any, how: dict[str, Any]) -> Any:
    """Points in time, differences or periods, over whole numbers; one or two dimensions."""
    import pandas as pd

    if how["as"] == "period":
        dtype = pd.PeriodDtype(how["dtype"].removeprefix("period[").removesuffix("]"))
        return pd.arrays.PeriodArray._simple_new(ticks, dtype=dtype)  # noqa: SLF001 - the public one takes one dimension
    if how["as"] == "timedelta":
        values = ticks.view(f"m8[{how['unit']}]")
        return pd.arrays.TimedeltaArray._simple_new(values, dtype=values.dtype)  # noqa: SLF001 - the public one copies
    values = ticks.view(f"M8[{how['unit']}]")
    if "zone" not in how:
        return pd.arrays.DatetimeArray._simple_new(values, dtype=values.dtype)  # noqa: SLF001
    zone = zoneinfo.ZoneInfo(how["zone"]) if how["zone"] else dt.timezone.utc
    return pd.arrays.DatetimeArray._simple_new(values, dtype=pd.DatetimeTZDtype(how["unit"], zone))  # noqa: SLF001


def _zone_name(how: dict[str, Any]) -> str | None:
    return (how["zone"] or "UTC") if "zone" in how else None


def numbers(values: Any, missing: Any, kind: Any = None) -> Any:
    """Numbers as they lie in memory; bools as bytes, for Arrow's own are bits."""
    import numpy as np
    import pyarrow as pa

    values = np.ascontiguousarray(values)
    if kind is None:
        kind = pa.uint8() if values.dtype.kind == "b" else pa.from_numpy_dtype(values.dtype)
    valid = None
    if missing is not None and missing.any():
        valid = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(values.view(np.uint8))])
