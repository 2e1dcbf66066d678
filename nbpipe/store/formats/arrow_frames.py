"""DataFrames, Series and Indexes of pandas as one record batch: the columns block by block, then the index of the rows.

pandas keeps columns of one dtype together in one matrix. The order in which floats are added up depends on how it
lies, so it comes back as it was: mapped where its columns follow each other in the file, copied where they do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from nbpipe.store.forgotten import attributes
from nbpipe.store.formats.arrow_axes import describe_index, index_columns, read_index
from nbpipe.store.formats.arrow_columns import decode, describe, encode, fixed, time_array
from nbpipe.store.formats.arrow_file import map_batch, write_batch
from nbpipe.store.formats.plain import FORMAT as PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nbpipe.store.formats.arrow_file import Mapped

#: A matrix with gaps between its rows keeps them, unless they would more than double it.
_SPARSEST = 2


def accepts(value: Any) -> bool:
    """Whether it comes back equal in value and type."""
    return _note(value) is not None


def write(value: Any, file: BinaryIO) -> None:
    """Write a value that was accepted."""
    import pandas as pd

    note = _note(value)
    assert note is not None, "only what was accepted is written"  # noqa: S101
    columns: list[tuple[str, Any]] = []
    if isinstance(value, pd.DataFrame):
        names = [str(name) for name in value.columns]
        for block, how in zip(value._mgr.blocks, note["blocks"], strict=True):  # noqa: SLF001 - there is no public way
            rows = list(block.values) if "layout" in how else [block.values]  # noqa: PD011 - a block, not a frame
            columns += [(names[at], encode(row, how["array"])) for at, row in zip(how["at"], rows, strict=True)]
    elif isinstance(value, pd.Series):
        columns.append((str(value.name), encode(_series_values(value), note["array"])))
    index = value if isinstance(value, pd.Index) else value.index
    columns += [(f"index {at}", each) for at, each in enumerate(index_columns(index, note["index"]))]
    write_batch(columns, note, file)


def read(path: Path) -> Any:
    """The value."""
    import pandas as pd

    mapped = map_batch(path)
    note, columns = mapped.note, iter(mapped.columns)
    if note["kind"] == "index":
        return read_index(list(columns), note["index"], mapped)
    if note["kind"] == "series":
        array = decode(next(columns), note["array"], mapped)
        index = read_index(list(columns), note["index"], mapped)
        value = pd.Series(array, index=index, dtype=array.dtype, name=note["name"], copy=False)
    else:
        from pandas.api.internals import create_dataframe_from_blocks

        blocks = [_read_block(columns, how, mapped) for how in note["blocks"]]
        labels = _labels(note["columns"])
        value = create_dataframe_from_blocks(blocks, read_index(list(columns), note["index"], mapped), labels)
    value.attrs = note["attrs"]
    value.flags.allows_duplicate_labels = note["duplicates"]
    return value


def _note(value: Any) -> dict[str, Any] | None:
    import pandas as pd

    kind = type(value)
    if issubclass(kind, pd.Index):
        index = describe_index(value)
        return None if index is None else {"kind": "index", "index": index}
    if kind not in (pd.DataFrame, pd.Series) or not PLAIN.accepts(value.attrs) or attributes(value):
        return None
    index = describe_index(value.index)
    more = _frame(value) if kind is pd.DataFrame else _series(value)
    if index is None or more is None:
        return None
    return {**more, "index": index, "attrs": value.attrs, "duplicates": value.flags.allows_duplicate_labels}


def _series(value: Any) -> dict[str, Any] | None:
    array = _series_values(value)
    how = describe(array) if PLAIN.accepts(value.name) and not isinstance(value.name, (list, dict)) else None
    if how is None or (hasattr(array, "flags") and not array.flags.c_contiguous):
        return None
    return {"kind": "series", "array": how, "name": value.name}


def _frame(value: Any) -> dict[str, Any] | None:
    try:
        from pandas.api.internals import create_dataframe_from_blocks  # noqa: F401 - pandas 3 and later
    except ImportError:
        return None
    labels = _describe_labels(value.columns)
    blocks = [_describe_block(block) for block in value._mgr.blocks]  # noqa: SLF001
    return None if labels is None or None in blocks else {"kind": "frame", "columns": labels, "blocks": blocks}


def _describe_block(block: Any) -> dict[str, Any] | None:
    values = block.values  # noqa: PD011 - a block, not a frame
    at = [int(place) for place in block.mgr_locs.as_array]
    if values.ndim == 1:
        how = describe(values)
        return None if how is None else {"at": at, "array": how}
    matrix = getattr(values, "_ndarray", values)
    layout = _layout(matrix)
    how = describe(values)
    if how is None or (how["as"] == "numpy" and not fixed(matrix.dtype)):
        return None
    if how["as"] == "object":
        layout = "F" if layout == "F" else "C"
    return None if layout is None else {"at": at, "array": how, "layout": layout}


def _layout(matrix: Any) -> str | int | None:
    if matrix.flags.c_contiguous:
        return "C"
    if matrix.flags.f_contiguous:
        return "F"
    step, size, width = matrix.strides[0], matrix.itemsize, matrix.shape[1] * matrix.itemsize
    regular = matrix.strides[1] == size and step % size == 0 and width <= step <= _SPARSEST * width
    return step // size if regular else None


def _read_block(columns: Iterator[Any], how: dict[str, Any], mapped: Mapped) -> tuple[Any, Any]:
    import numpy as np

    arrays = [next(columns) for _ in how["at"]]
    at, kind = np.array(how["at"], dtype=np.intp), how["array"]["as"]
    if "layout" not in how:
        return decode(arrays[0], how["array"], mapped), at
    if kind == "numpy":
        return mapped.block(arrays, np.dtype(how["array"]["dtype"]), how["layout"]), at
    if kind == "object":
        made = np.empty((len(arrays), len(arrays[0])), object, order=how["layout"])
        for row, array in zip(made, arrays, strict=True):
            row[:] = decode(array, how["array"], mapped)
        return made, at
    return time_array(mapped.block(arrays, np.dtype("i8"), how["layout"]), how["array"]), at


def _series_values(series: Any) -> Any:
    array = series.array
    return array.to_numpy() if type(array).__name__ == "NumpyExtensionArray" else array


def _describe_labels(columns: Any) -> dict[str, Any] | None:
    """Labels of columns stand in the note, so only those that JSON keeps: text and whole numbers."""
    import pandas as pd

    how = describe_index(columns)
    if how is None or how["index"] == "range":
        return how
    kind = how["array"]["as"] if how["index"] == "array" else ""
    plain = kind in ("text", "object") or (kind == "numpy" and columns.dtype == "int64")
    labels = columns.tolist()
    if type(columns) is not pd.Index or not plain or not PLAIN.accepts(labels):
        return None
    return {**how, "labels": labels}


def _labels(how: dict[str, Any]) -> Any:
    import numpy as np
    import pandas as pd

    if how["index"] == "range":
        return pd.RangeIndex(*how["range"], name=how["names"][0])
    kind: Any = {"object": object, "numpy": np.dtype("int64")}.get(how["array"]["as"])
    if kind is None:
        kind = pd.StringDtype("pyarrow", na_value=pd.NA if how["array"]["missing"] == "NA" else np.nan)
    return pd.Index(how["labels"], dtype=kind, name=how["names"][0])
