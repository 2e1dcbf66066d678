"""How pandas' values are digested: axes, columns one by one, attributes. Block layout and caches do not count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbpipe.store.forgotten import attributes

if TYPE_CHECKING:
    from nbpipe.store.digest import Digester


def digest_frame(digester: Digester, frame: Any) -> None:
    """A DataFrame or a subclass of it."""
    if digester.met(frame):
        return
    digester.add(type(frame))
    digester.add(frame.columns)
    digester.add(frame.index)
    for place in range(len(frame.columns)):
        _array(digester, frame.iloc[:, place].array)
    _extras(digester, frame)


def digest_series(digester: Digester, series: Any) -> None:
    """A Series or a subclass of it."""
    if digester.met(series):
        return
    digester.add(type(series))
    digester.add(series.index)
    digester.add(series.name)
    _array(digester, series.array)
    _extras(digester, series)


def digest_index(digester: Digester, index: Any) -> None:
    """An Index of any kind. An index cannot change, except for its names."""
    import pandas as pd

    digester.add(type(index))
    digester.add(tuple(index.names))
    if isinstance(index, pd.RangeIndex):
        digester.text(b"range", repr((index.start, index.stop, index.step)))
    elif isinstance(index, pd.MultiIndex):
        for level, codes in zip(index.levels, index.codes, strict=True):
            digest_index(digester, level)
            _numpy(digester, codes)
    else:
        freq = getattr(index, "freq", None)
        digester.text(b"freq", "" if freq is None else repr(freq))
        _array(digester, index.array)


def digest_extension(digester: Digester, array: Any) -> None:
    """An extension array on its own."""
    if not digester.met(array):
        _array(digester, array)


def _extras(digester: Digester, value: Any) -> None:
    digester.add(value.attrs)
    digester.add(value.flags.allows_duplicate_labels)
    if extra := attributes(value):
        digester.add(extra)
    for name in value._metadata:  # noqa: SLF001 - pandas' documented hook for subclasses
        if name != "name":
            digester.add(getattr(value, name, None))


def _array(digester: Digester, array: Any) -> None:
    """One column."""
    import pandas as pd

    kind = type(array).__name__
    digester.text(b"column", kind, str(array.dtype))
    if kind == "NumpyExtensionArray":
        _numpy(digester, array.to_numpy())
    elif isinstance(array, pd.Categorical):
        digest_index(digester, array.categories)
        digester.add(bool(array.ordered))
        _numpy(digester, array.codes)
    elif isinstance(array, (pd.arrays.DatetimeArray, pd.arrays.TimedeltaArray, pd.arrays.PeriodArray)):
        _numpy(digester, array.view("i8"))
        digester.add(getattr(array, "tz", None))
    elif isinstance(array, pd.arrays.IntervalArray):
        digester.add(array.closed)
        digest_index(digester, array.left)
        digest_index(digester, array.right)
    elif isinstance(array, pd.arrays.SparseArray):
        digester.add(array.fill_value)
        _numpy(digester, array.sp_values)
        _numpy(digester, array.sp_index.to_int_index().indices)
        digester.text(b"sparse", type(array.sp_index).__name__, str(len(array)))
    elif hasattr(array, "_mask") and hasattr(array, "_data"):
        # What lies under the mask is an accident of how the column was computed.
        data = array._data.copy()  # noqa: SLF001 - there is no public way to both halves
        data[array._mask] = 0  # noqa: SLF001
        _numpy(digester, array._mask)  # noqa: SLF001
        _numpy(digester, data)
    elif hasattr(array, "__arrow_array__") and kind.startswith("Arrow"):
        from nbpipe.store.formats.arrow_digest import digest_arrow

        digest_arrow(digester, array.__arrow_array__())
    elif isinstance(array.dtype, pd.StringDtype):
        digester.add(tuple(None if missing else text for text, missing in zip(array, array.isna(), strict=True)))
        digester.text(b"missing", repr(array.dtype.na_value))
    else:
        function, arguments, *state = array.__reduce_ex__(4)
        digester._alive.append((function, arguments, state))  # noqa: SLF001 - its ids must stay taken
        digester.add((type(array), tuple(arguments), tuple(state[:1])))


def _numpy(digester: Digester, array: Any) -> None:
    """A column's NumPy array: pandas hands out read-only views, so neither flag nor identity counts."""
    import numpy as np

    from nbpipe.store.formats.npy import bytes_digest, digest_dtype

    if array.dtype.hasobject:
        digest_dtype(digester, array.dtype)
        digester.add(tuple(array.tolist()))
    else:
        digester.text(b"npy", bytes_digest(np.asarray(array).reshape(-1)))
