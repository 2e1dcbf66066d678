"""Thresholds compute what Python would, over named values only."""

from __future__ import annotations

import ast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipe.notebook.thresholds import holds, read_threshold, threshold_names

_EXPRESSIONS = [
    "a > b",
    "a >= b and not b < 0",
    "a + b * 2 - a / 4 <= 3",
    "0 < a < b",
    "a == b or a != b",
    "abs(a) > max(a, b, 1)",
    "min(a, b) < -1",
    "+a > -b",
    "not a > b",
    "a > champion.acc - 0.5",
]


@given(st.sampled_from(_EXPRESSIONS), st.integers(-9, 9), st.integers(-9, 9), st.integers(-9, 9))
def test_a_threshold_gives_what_python_gives(text: str, a: int, b: int, acc: int) -> None:
    class Champion:
        pass

    champion = Champion()
    champion.acc = acc  # type: ignore[attr-defined]
    want = eval(compile(ast.parse(text, mode="eval"), "", "eval"), {"a": a, "b": b, "champion": champion})  # noqa: S307
    assert holds(text, {"a": a, "b": b}, {"acc": acc}) == bool(want)


def test_numbers_of_numpy_compare_and_nan_never_holds() -> None:
    assert holds("acc >= 0.5", {"acc": np.float32(0.5)}, {})
    assert not holds("acc >= 0.5", {"acc": float("nan")}, {})


def test_names_are_told_apart_by_whose_they_are() -> None:
    assert threshold_names("abs(acc - champion.acc) < max(tol, 0) and loss < champion.loss") == (
        ("acc", "loss", "tol"),
        ("acc", "loss"),
    )


@pytest.mark.parametrize(("text", "name"), [("acc > 1", "acc"), ("champion.f1 > 1", "champion.f1")])
def test_a_name_that_nothing_gives_is_named(text: str, name: str) -> None:
    with pytest.raises(KeyError, match=name):
        holds(text, {}, {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a = 1",
        "a > 1; b",
        "a > 1\nb",
        "x" * 2000 + " > 1",
        "lambda: 1 > 0",
        "[a] > 1",
        "min() > 1",
        "a > (b := 1)",
        "f'{a}' > 1",
        "a > True",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_threshold(text)
