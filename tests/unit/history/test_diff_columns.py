"""Columns of stored values are read as they were stored, without the libraries that made them."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, timedelta
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from nbpipe.history.difference.columns import Column, of_array
from nbpipe.history.difference.figures import SAMPLE, field_diff, figures
from nbpipe.history.difference.shape_values import Figures
from nbpipe.history.difference.stored import UnreadableError, columns_of
from nbpipe.store import Store


def stored(store: Store, value: object) -> dict[str, Column]:
    artifact = store.save_values({"value": value}, stage="s")["value"]
    assert artifact.format in ("npy", "arrow", "safetensors"), artifact.format
    return columns_of(artifact, store.objects)


def told(store: Store, value: object) -> dict[str, Figures]:
    return {name: figures(column) for name, column in stored(store, value).items()}


def test_a_frame_of_pandas_has_its_columns_in_their_order_with_their_types(store: Store) -> None:
    frame = pd.DataFrame(
        {
            "f": [1.0, np.nan, 3.0],
            "i": pd.array([1, None, 3], dtype="Int64"),
            "b": [True, False, True],
            "t": pd.to_datetime(["2026-01-01", "2026-01-03", None]),
            "c": pd.Categorical(["x", "y", "x"]),
            "s": ["a", "b", None],
            "j": [1, 2, 9],
        },
        index=pd.Index([5, 6, 7], name="key"),
    )
    found = told(store, frame)
    assert list(found) == ["f", "i", "b", "t", "c", "s", "j", "key"]
    assert (found["f"].dtype, found["f"].missing, found["f"].mean) == ("float64", 1, 2.0)
    assert (found["i"].missing, found["i"].max) == (1, 3)
    assert (found["b"].dtype, found["b"].top) == ("bool", (("True", 2), ("False", 1)))
    assert (found["t"].min, found["t"].max, found["t"].mean, found["t"].missing) == (
        "2026-01-01",
        "2026-01-03",
        "2026-01-02",
        1,
    )
    assert (found["c"].dtype, found["c"].top, found["c"].distinct) == ("category", (("x", 2), ("y", 1)), 2)
    assert (found["s"].missing, found["s"].top) == (1, (("a", 1), ("b", 1)))
    assert (found["j"].dtype, found["j"].min, found["j"].max) == ("int64", 1, 9)
    assert found["key"].max == 7


def test_series_tables_frames_of_polars_and_odd_types_are_read(store: Store) -> None:
    assert told(store, pd.Series([1.5, 2.5], name="s"))["s"].mean == 2.0
    table = pa.table({"d": [date(2026, 1, 1), None], "l": [[1], [2]], "t": [timedelta(seconds=2), None]})
    found = told(store, table)
    assert (found["d"].min, found["d"].missing) == ("2026-01-01", 1)
    assert (found["l"].count, found["l"].min) == (2, None)
    assert found["t"].max == 2.0
    assert told(store, pl.DataFrame({"x": [1, 2, 3], "s": ["a", "b", "b"]}))["s"].top[0] == ("b", 2)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.arange(6).reshape(2, 3), {"dtype": "int64", "count": 6, "min": 0, "max": 5, "mean": 2.5}),
        (np.array([np.nan, 1.0]), {"count": 2, "missing": 1, "max": 1.0}),
        (np.array([], dtype=np.float32), {"dtype": "float32", "count": 0, "min": None}),
        (np.array([True, True]), {"top": (("True", 2),)}),
        (np.array(["b", "a", "b"]), {"top": (("b", 2), ("a", 1)), "distinct": 2}),
        (np.array(["2026-02-03", "NaT"], dtype="M8[s]"), {"min": "2026-02-03", "missing": 1}),
        (np.array(["2026-02-03", "2026-02-05"], dtype="M8[D]"), {"min": "2026-02-03", "mean": "2026-02-04"}),
        (np.array([1, 3], dtype="m8[h]"), {"mean": 7200.0}),
        (np.array([1, 3], dtype="m8[10s]"), {"max": 30.0}),
        (np.array([1], dtype="m8[Y]"), {"count": 1, "max": None}),
        (np.array([1 + 2j]), {"dtype": "complex128", "count": 1}),
        (np.array(3.0), {"count": 1, "mean": 3.0}),
    ],
    ids=lambda value: str(value.dtype) if isinstance(value, np.ndarray) else "",
)
def test_arrays_of_every_kind_have_figures(store: Store, array: Any, expected: dict[str, Any]) -> None:
    found = told(store, array)[""]
    assert {name: getattr(found, name) for name in expected} == expected


def test_a_structured_array_has_its_fields(store: Store) -> None:
    found = told(store, np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]))
    assert (found["a"].max, found["b"].max) == (1, 2.5)


def test_tensors_are_read_without_torch(store: Store) -> None:
    weights = {"w": torch.arange(4, dtype=torch.float32), "h": torch.tensor([1.5, 2.5], dtype=torch.bfloat16)}
    found = told(store, weights)
    assert (found["w"].max, found["h"].dtype, found["h"].mean) == (3.0, "bfloat16", 2.0)


def test_reading_imports_none_of_the_libraries_that_made_the_values(store: Store) -> None:
    frame = store.save_values({"v": pd.DataFrame({"t": pd.to_datetime(["2026-01-01"])})}, stage="s")["v"]
    tensor = store.save_values({"v": torch.ones(2)}, stage="s")["v"]
    code = (
        "import sys, msgspec\nfrom nbpipe.model import Artifact\nfrom nbpipe.store import open_store\n"
        "from nbpipe.history.difference.figures import figures\nfrom nbpipe.history.difference.stored import columns_of\n"
        f"for data in {[msgspec.json.encode(each) for each in (frame, tensor)]!r}:\n"
        f"    found = columns_of(msgspec.json.decode(data, type=Artifact), open_store({store.location!r}).objects)\n"
        "    assert [figures(each) for each in found.values()]\n"
        "print(sorted({'pandas', 'torch', 'polars', 'pickle5'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_columns_are_equal_where_every_value_is_nan_included() -> None:
    one = of_array(np.array([1.0, np.nan]))
    assert one.equals(of_array(np.array([1.0, np.nan])))
    assert not one.equals(of_array(np.array([np.nan, 1.0])))
    assert not one.equals(of_array(np.array([1.0, np.nan], dtype=np.float32)))


def test_places_that_differ_are_counted_where_both_sides_are_as_long(store: Store) -> None:
    nan = float("nan")
    one, other = of_array(np.array([1.0, nan, 3.0, nan])), of_array(np.array([1.0, nan, 4.0, 2.0]))
    assert (one.differing(other), one.differing(one), one.differing(of_array(np.ones(3)))) == (2, 0, None)
    old = stored(
        store, pd.DataFrame({"s": ["a", None, "c"], "f": [1.0, nan, 2.0], "c": pd.Categorical(["x", "y", "x"])})
    )
    new = stored(
        store, pd.DataFrame({"s": ["a", "b", "d"], "f": [1.0, nan, 3.0], "c": pd.Categorical(["x", "x", "x"])})
    )
    assert {name: old[name].differing(new[name]) for name in old} == {"s": 2, "f": 1, "c": 1}


def test_the_same_figures_in_another_order_are_other_values_that_did_not_shift() -> None:
    field = field_diff("x", of_array(np.arange(100.0)), of_array(np.arange(100.0)[::-1].copy()))
    assert (field.change, field.shift) == ("changed", 0.0)
    apart = field_diff("x", of_array(np.zeros(10)), of_array(np.ones(10)))
    assert apart.shift == 1.0
    assert (sum(apart.a_bins), sum(apart.b_bins)) == (10, 10)


def test_an_outlier_does_not_squeeze_all_others_into_one_bin() -> None:
    values = np.concatenate([np.linspace(0, 1, 1000), [1e9]])
    field = field_diff("x", of_array(values), of_array(values * 0.5))
    assert sum(count > 0 for count in field.a_bins) > 5


def test_large_columns_are_sampled_and_say_so() -> None:
    found = figures(of_array(np.arange(SAMPLE * 3)))
    assert found.sampled == SAMPLE
    assert (found.min, found.max) == (0, SAMPLE * 3 - 1)
    assert found.quantiles["0.5"] == pytest.approx(SAMPLE * 1.5, rel=0.01)


@pytest.mark.parametrize("name", ["npy", "arrow", "safetensors"])
@pytest.mark.parametrize(
    "data", [b"", b"\x93NUMPY\x01\x00garbage", b"ARROW1\0\0" + b"\xff" * 64, b"\xff" * 8, b"\x80\x05N."]
)
def test_bytes_that_are_not_what_they_say_are_refused(store: Store, name: str, data: bytes) -> None:
    digest = store.objects.put_bytes(data)
    artifact = store.save_values({"v": np.ones(2)}, stage="s")["v"]
    with pytest.raises(UnreadableError, match=f"cannot be read as {name}"):
        columns_of(msgspec.structs.replace(artifact, format=name, objects=(digest,)), store.objects)
