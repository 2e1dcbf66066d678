"""Indexes of pandas: of rows, of columns, and the categories of a categorical."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbpipe.store.formats.arrow_columns import decode, describe, encode, numbers
from nbpipe.store.formats.plain import FORMAT as PLAIN

if TYPE_CHECKING:
    from nbpipe.store.formats.arrow_file import Mapped


def describe_index(index: Any) -> dict[str, Any] | None:
    """How to store it; None if it would not come back equal in value and type."""
    import pandas as pd

    names = list(index.names)
    if not (PLAIN.accepts(names) and all(isinstance(name, (str, int, float, type(None))) for name in names)):
        return None
    if type(index) is pd.RangeIndex:
        return {"index": "range", "range": [index.start, index.stop, index.step], "names": names}
    if type(index) is pd.MultiIndex:
        levels = [describe_index(level) for level in index.levels]
        if any(level is None or level["index"] == "multi" for level in levels):
            return None
        return {"index": "multi", "levels": levels, "names": names}
    kinds = (pd.Index, pd.DatetimeIndex, pd.TimedeltaIndex, pd.PeriodIndex, pd.CategoricalIndex)
    how = describe(index.array) if type(index) in kinds else None
    if how is None:
        return None
    found = {"index": "array", "array": how, "names": names}
    freq = None if type(index) is pd.PeriodIndex else getattr(index, "freq", None)
    if freq is None:
        return found
    try:
        same = bool(pd.tseries.frequencies.to_offset(freq.freqstr) == freq)
    except ValueError:
        same = False
    return {**found, "freq": freq.freqstr} if same else None


def index_columns(index: Any, how: dict[str, Any]) -> list[Any]:
    """Arrow arrays as long as the index: none for a range, one per level of a multi-index."""
    import numpy as np
    import pyarrow as pa

    if how["index"] == "range":
        return []
    if how["index"] == "array":
        return [encode(_values(index), how["array"])]
    found = []
    for level, codes, inner in zip(index.levels, index.codes, how["levels"], strict=True):
        places = numbers(np.asarray(codes), np.asarray(codes) < 0)
        found.append(pa.DictionaryArray.from_arrays(places, encode_labels(level, inner), safe=False))
    return found


def read_index(columns: list[Any], how: dict[str, Any], mapped: Mapped) -> Any:
    """The index from its columns."""
    import numpy as np
    import pandas as pd

    if how["index"] == "range":
        return pd.RangeIndex(*how["range"], name=how["names"][0])
    if how["index"] == "array":
        return _index(decode(columns[0], how["array"], mapped), how)
    codes = [mapped.values(each.indices, np.dtype(str(each.type.index_type))) for each in columns]
    levels = [decode_labels(each.dictionary, inner, mapped) for each, inner in zip(columns, how["levels"], strict=True)]
    return pd.MultiIndex(levels=levels, codes=codes, names=how["names"], verify_integrity=False)


def encode_labels(index: Any, how: dict[str, Any]) -> Any:
    """The labels of an index that stands beside the rows, as a dictionary's values."""
    import numpy as np
    import pyarrow as pa

    return pa.array(np.asarray(index)) if how["index"] == "range" else encode(_values(index), how["array"])


def decode_labels(array: Any, how: dict[str, Any], mapped: Mapped) -> Any:
    """The index of those labels."""
    return read_index([array], how, mapped)


def _index(array: Any, how: dict[str, Any]) -> Any:
    import pandas as pd

    made = pd.Index(array, dtype=array.dtype, name=how["names"][0], copy=False)
    if "freq" in how:
        # The public setter would compute the whole index anew. Before pandas 3.1 the frequency was the array's.
        holder = made if hasattr(type(made), "_freq") else made._data  # noqa: SLF001
        holder._freq = pd.tseries.frequencies.to_offset(how["freq"])  # noqa: SLF001
    return made


def _values(index: Any) -> Any:
    """The array of an index, a NumPy array where it has one."""
    array = index.array
    return array.to_numpy() if type(array).__name__ == "NumpyExtensionArray" else array
