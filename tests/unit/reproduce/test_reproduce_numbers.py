"""How far two values are apart, and what counts as close."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from nbpipe.reproduce.numbers import gap

NEAR = 1 + 1e-9


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x,
        lambda x: {"a": [1, x], "b": "t"},
        lambda x: np.array([[1.0, x], [np.nan, 3.0]]),
        lambda x: np.array([(1, x)], dtype=[("n", "i4"), ("x", "f8")]),
        np.float64,
        lambda x: np.array([x + 2j]),
        lambda x: pd.DataFrame({"k": ["a", "b"], "x": [x, None]}),
        lambda x: pd.Series([x, 2.0], index=["p", "q"]),
        lambda x: pl.DataFrame({"k": ["a"], "x": [x]}),
        lambda x: pa.table({"k": ["a"], "x": [x]}),
        lambda x: {"w": torch.tensor([[x]], dtype=torch.float64)},
    ],
)
def test_numbers_inside_any_container_are_compared_with_the_tolerance(make: Any) -> None:
    assert gap(make(1.0), make(1.0), 0) is None
    near = gap(make(1.0), make(NEAR), 1e-6)
    assert near is not None
    assert near.tolerated
    assert near.largest == pytest.approx(1e-9)
    far = gap(make(1.0), make(1.5), 1e-6)
    assert far is not None
    assert not far.tolerated
    assert far.largest == 0.5


def test_above_one_the_tolerance_is_relative() -> None:
    near, far = gap(1e9, 1e9 + 1, 1e-6), gap(1e-9, 2e-9, 1e-10)
    assert near is not None
    assert near.tolerated
    assert far is not None
    assert not far.tolerated


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (1000000000, 1000000001, "1000000000 → 1000000001"),
        (np.arange(3), np.array([0, 1, 3]), "1 of 3 values → others"),
        (True, 1, "bool → int"),
        (1.0, float("nan"), "1.0 → nan"),
        (np.zeros(2), np.array([0.0, np.inf]), "1 of 2 values → nan or infinite on one side"),
        (np.zeros(2), np.zeros(3), "shape (2,) → shape (3,)"),
        (np.zeros(2), np.zeros(2, "f4"), "float64 → float32"),
        ([1.0], [1.0, 2.0], "1 items → 2 items"),
        ({"a": 1.0}, {"b": 1.0}, "names → others ('a')"),
        ({"a": {"b": "x"}}, {"a": {"b": "y"}}, "['a']['b']: 'x' → 'y'"),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]}), "columns ['index', 'a'] → ['index', 'b']"),
    ],
)
def test_what_is_no_matter_of_tolerance_says_what_it_is(before: Any, after: Any, text: str) -> None:
    found = gap(before, after, 1.0)
    assert found is not None
    assert not found.tolerated
    assert found.text == text


def test_the_place_of_the_largest_difference_is_named() -> None:
    found = gap({"w": np.zeros((2, 3))}, {"w": np.array([[0.0, 0.1, 0], [0, 0, -0.5]])}, 0)
    assert found is not None
    assert found.text == "largest difference 0.5 at ['w'][1, 2]"
