"""Frames come back equal in value, type and layout; what Arrow keeps exactly is stored as Arrow, all else as before."""

from __future__ import annotations

import datetime as dt
import decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from polars.testing import assert_frame_equal
from polars.testing.parametric import dataframes
from roundtrip import trip

from nbpipe.store import Store
from nbpipe.store.values import load_values, save_values

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def same(back: Any, value: Any) -> None:
    if isinstance(value, pd.DataFrame):
        pd.testing.assert_frame_equal(back, value, check_exact=True, check_column_type="exact", check_freq=True)
        assert layout(back) == layout(value)
        assert back.attrs == value.attrs
        assert back.flags.allows_duplicate_labels == value.flags.allows_duplicate_labels
    elif isinstance(value, pd.Series):
        pd.testing.assert_series_equal(back, value, check_exact=True, check_freq=True)
    else:
        pd.testing.assert_index_equal(back, value, exact=True, check_exact=True)
        assert getattr(back, "freq", None) == getattr(value, "freq", None)


def layout(frame: pd.DataFrame) -> list[Any]:
    """How pandas keeps the columns together, and how each matrix lies in memory."""
    return [
        (type(block.values), str(block.dtype), block.mgr_locs.as_array.tolist(), strides(block.values))
        for block in frame._mgr.blocks
    ]


def strides(values: Any) -> Any:
    matrix = getattr(values, "_ndarray", values)
    return matrix.strides if isinstance(matrix, np.ndarray) and matrix.size else None


texts = st.text(max_size=6)
labels = st.none() | st.integers(-9, 9) | texts
COLUMNS: list[Callable[[int], st.SearchStrategy[Any]]] = [
    lambda n: npst.arrays(st.sampled_from(["i1", "u2", "i4", "i8", "u8", "f4", "f8", "?", ">i4", "c16"]), n),
    lambda n: npst.arrays(st.sampled_from(["M8[s]", "M8[ms]", "M8[ns]", "m8[s]", "m8[us]"]), n).map(_times),
    lambda n: st.lists(st.none() | texts.filter(_storable), min_size=n, max_size=n).map(
        lambda items: pd.array(items, "str")
    ),
    lambda n: st.lists(st.none() | texts.filter(_storable), min_size=n, max_size=n).map(
        lambda items: pd.array(items, "string")
    ),
    lambda n: st.lists(st.none() | texts, min_size=n, max_size=n).map(lambda items: np.array(items, dtype=object)),
    lambda n: st.lists(st.none() | st.integers(-9, 9) | st.tuples(st.integers()), min_size=n, max_size=n).map(_objects),
    lambda n: st.lists(st.sampled_from(["a", "b", None]), min_size=n, max_size=n).map(
        lambda items: pd.Categorical(items, categories=["b", "a"], ordered=True)
    ),
    lambda n: st.lists(st.none() | st.integers(-99, 99), min_size=n, max_size=n).map(
        lambda items: pd.array(items, "Int16")
    ),
    lambda n: st.lists(st.none() | st.booleans(), min_size=n, max_size=n).map(lambda items: pd.array(items, "boolean")),
    lambda n: st.lists(st.none() | st.floats(width=32), min_size=n, max_size=n).map(
        lambda items: pd.array(items, "Float32")
    ),
    lambda n: st.just(pd.date_range("2024-03-30", periods=n, tz="Europe/Berlin").array),
    lambda n: st.just(pd.period_range("2024-01", periods=n, freq="M").array),
    lambda n: st.just(pd.interval_range(0, n).array),
    lambda n: st.just(pd.arrays.SparseArray(np.arange(n) % 2)),
    lambda n: st.lists(st.none() | st.integers(-9, 9), min_size=n, max_size=n).map(
        lambda items: pd.array(items, pd.ArrowDtype(pa.int64()))
    ),
]


def _storable(text: str) -> bool:
    try:
        return text.encode() is not None
    except UnicodeEncodeError:
        return False


def _times(array: np.ndarray[Any, Any]) -> Any:
    # pandas knows fewer years than NumPy's larger units do.
    return pd.Series((array.view("i8") % 10**9).view(array.dtype)).array


def _objects(items: list[Any]) -> np.ndarray[Any, Any]:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


INDEXES: list[Callable[[int], Any]] = [
    lambda n: pd.RangeIndex(3, 3 + 2 * n, 2, name="r"),
    lambda n: pd.Index([f"row {i}" for i in range(n)], dtype="str"),
    lambda n: pd.Index([f"row {i}" for i in range(n)], dtype=object, name="o"),
    lambda n: pd.Index(np.arange(n) / 2, name=3),
    lambda n: pd.Index(np.arange(n, dtype="i4")),
    lambda n: pd.date_range("2024-01-31", periods=n, freq="ME"),
    lambda n: pd.date_range("2024-01-01", periods=n, freq="2h", tz="UTC", name="t"),
    lambda n: pd.timedelta_range("1s", periods=n),
    lambda n: pd.period_range("2024-01", periods=n, freq="Q"),
    lambda n: pd.MultiIndex.from_arrays([np.arange(n) % 2, [f"x{i}" for i in range(n)]], names=["n", None]),
    lambda n: pd.CategoricalIndex(["a", "b", None, "a", "b", "a"][:n]),
    lambda n: pd.interval_range(0, n),
    lambda n: pd.Index([(i, "tuple") for i in range(n)], tupleize_cols=False),
]


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(0, 6))
    kinds = draw(st.lists(st.sampled_from(COLUMNS), max_size=5))
    columns = [draw(kind(rows)) for kind in kinds]
    names = draw(st.lists(labels, min_size=len(columns), max_size=len(columns)))
    made = pd.DataFrame(dict(enumerate(columns)), index=draw(st.sampled_from(INDEXES))(rows))
    made.columns = pd.Index(names, tupleize_cols=False)
    if draw(st.booleans()):
        made.attrs = {"source": {"a": [1, None, "x"]}}
    return made.iloc[1:] if draw(st.booleans()) else made


@SETTINGS
@given(value=frames())
def test_any_frame_comes_back(store: Store, value: pd.DataFrame) -> None:
    back = trip(store, value)
    pd.testing.assert_frame_equal(back, value, check_exact=True, check_column_type="exact", check_freq=True)
    assert back.attrs == value.attrs


@SETTINGS
@given(data=st.data(), rows=st.integers(0, 6), name=labels)
def test_any_series_comes_back(store: Store, data: st.DataObject, rows: int, name: Any) -> None:
    array = data.draw(data.draw(st.sampled_from(COLUMNS))(rows))
    dtype = array.dtype if isinstance(array, np.ndarray) else None
    value = pd.Series(array, dtype=dtype, name=name, index=data.draw(st.sampled_from(INDEXES))(rows))
    same(trip(store, value), value)


@pytest.mark.parametrize("make", INDEXES)
@pytest.mark.parametrize("size", [0, 1, 5])
def test_any_index_comes_back(store: Store, make: Callable[[int], Any], size: int) -> None:
    same(trip(store, make(size)), make(size))


@SETTINGS
@given(value=dataframes(max_cols=4, max_size=5, excluded_dtypes=[pl.Object]))
def test_any_polars_frame_comes_back(store: Store, value: pl.DataFrame) -> None:
    back = trip(store, value)
    assert_frame_equal(back, value, check_exact=True, categorical_as_str=True)
    assert back.schema == value.schema


def _matrix(rows: int = 40) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(0).random((rows, 3)), columns=list("abc"))


EXACT: dict[str, Callable[[], Any]] = {
    "matrix": _matrix,
    "slice of rows": lambda: _matrix().iloc[:30],
    "transposed": lambda: pd.DataFrame(np.random.default_rng(0).random((40, 3)), copy=False),
    "blocks that interleave": lambda: _matrix().assign(a=1, t=pd.Timestamp("2024"), b="text", u=True, v=False, w=2),
    "columns one by one": lambda: pd.concat([_matrix()["a"], _matrix()["b"]], axis=1),
    "missing times": lambda: pd.DataFrame({"a": pd.to_datetime(["2024", None]), "b": pd.to_datetime([None, "2025"])}),
    "text as objects": lambda: pd.DataFrame({"a": ["x", None, "ü"], "b": ["", "y", "z"]}, dtype=object),
    "nothing": lambda: pd.DataFrame({"a": np.empty(0), "b": pd.Series([], dtype="str")}),
    "no columns": lambda: pd.DataFrame(index=[1, 2]),
    "no labels twice": lambda: _matrix().set_flags(allows_duplicate_labels=False),
    "labels twice": lambda: pd.DataFrame([[1, "a"], [2, "b"]], columns=["x", "x"]),
    "several levels": lambda: pd.DataFrame(np.eye(4), index=pd.MultiIndex.from_product([[1, 2], ["a", "b"]])),
    "lists": lambda: pd.DataFrame({"l": pd.array([[1], None], pd.ArrowDtype(pa.list_(pa.int64())))}),
}
PICKLED: dict[str, Callable[[], Any]] = {
    "mixed objects": lambda: pd.DataFrame({"a": ["x", 1]}, dtype=object),
    "text UTF-8 has not": lambda: pd.Series(["\ud800"], dtype=object),
    "NaN among text": lambda: pd.Series(["x", np.nan], dtype=object),
    "subclass of text": lambda: pd.Series([np.str_("x")], dtype=object),
    "complex": lambda: pd.Series([1j]),
    "big-endian": lambda: pd.Series(np.arange(3, dtype=">i4")),
    "a zone that is no name": lambda: pd.Series(
        pd.date_range("2024", periods=2, tz=dt.timezone(dt.timedelta(hours=1)))
    ),
    "attributes that are no JSON": lambda: _attributes({"a": (1, 2)}),
    "labels that are no JSON": lambda: pd.DataFrame({(1, 2): [1], "a": [2]}),
    "labels in levels": lambda: pd.DataFrame(np.eye(2), columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])),
    "reversed": lambda: pd.Series(np.arange(5))[::-1],
}


def _attributes(attrs: dict[Any, Any]) -> pd.DataFrame:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = attrs
    return frame


@pytest.mark.parametrize("name", EXACT)
def test_what_arrow_keeps_exactly_is_stored_as_arrow_with_its_layout(store: Store, name: str) -> None:
    same(trip(store, EXACT[name](), "arrow"), EXACT[name]())


@pytest.mark.parametrize("name", PICKLED)
def test_what_arrow_would_change_is_not_stored_as_arrow(store: Store, name: str) -> None:
    value = PICKLED[name]()
    back = trip(store, value, "pickle")
    (pd.testing.assert_frame_equal if isinstance(value, pd.DataFrame) else pd.testing.assert_series_equal)(back, value)


def test_a_subclass_is_not_taken_for_its_base(store: Store) -> None:
    artifact = save_values(store, {"x": _Named({"a": [1]})}, stage="s")["x"]
    assert artifact.format == "pickle"


class _Named(pd.DataFrame):  # type: ignore[misc]
    pass


TABLES = {
    "flat": (pa.table({"a": [1, None], "b": ["x", "y"]}), "arrow"),
    "metadata": (pa.table({"a": [1]}).replace_schema_metadata({"k": "v"}), "arrow"),
    "sliced": (pa.table({"a": list(range(99)), "b": list(map(str, range(99)))}).slice(10, 20), "arrow"),
    "chunks": (pa.concat_tables([pa.table({"a": ["x"]}), pa.table({"a": ["y", None]})]), "arrow"),
    "nested": (pa.table({"a": [[1, None], None, []], "b": [{"x": 1}, None, {"x": None}]}), "arrow"),
    "dictionary": (pa.table({"a": pa.array(["x", "y", "x"]).dictionary_encode()}), "arrow"),
    "decimal": (pa.table({"a": [decimal.Decimal("1.50"), None]}), "arrow"),
    "map": (pa.table({"a": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))}), "pickle"),
    "no columns": (pa.table({}), "pickle"),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_come_back_with_schema_and_chunks(store: Store, name: str) -> None:
    value, expected = TABLES[name]
    back = trip(store, value, expected)
    assert back.equals(value, check_metadata=True)
    assert [column.num_chunks for column in back.columns] == [column.num_chunks for column in value.columns]


def test_a_loaded_frame_can_be_changed_in_place_and_the_store_stays_as_it_was(store: Store) -> None:
    value = _matrix(100_000).assign(n=range(100_000), b=True, t="text")
    artifacts = save_values(store, {"x": value}, stage="s")
    assert artifacts["x"].format == "arrow"
    before = Path(store.objects.local_path(artifacts["x"].objects[0])).read_bytes()
    first = load_values(store, artifacts, {})["x"]
    first.loc[0, "a"] = 99.0
    first["n"] += 1
    first.loc[5, "t"] = "other"
    first["b"].to_numpy()
    assert Path(store.objects.local_path(artifacts["x"].objects[0])).read_bytes() == before
    same(load_values(store, artifacts, {})["x"], value)


def test_a_loaded_frame_is_writeable_as_a_new_one_is(store: Store) -> None:
    for value in (_matrix(), _matrix()["a"]):
        back = trip(store, value, "arrow")
        assert back._mgr.blocks[0].values.flags.writeable  # noqa: PD011 - a block
        assert back.to_numpy().flags.writeable == value.to_numpy().flags.writeable


def test_equal_frames_of_another_layout_have_the_same_digest(store: Store) -> None:
    value = _matrix()
    other = pd.DataFrame({name: value[name].copy() for name in value.columns})
    one, two = (save_values(store, {"x": each}, stage="s")["x"] for each in (value, other))
    assert one.digest == two.digest
