"""A digest is of the value and its type, and of nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch

from nbpipe.store.digest import Undigestable, digest

if TYPE_CHECKING:
    from collections.abc import Callable

DIFFERENT: list[tuple[Any, Any]] = [
    (1, True),
    (1, 1.0),
    (0.0, -0.0),
    ("1", b"1"),
    ([1], (1,)),
    ([1, 2], [2, 1]),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({1}, frozenset({1})),
    (["ab", "c"] * 5, ["a", "bc"] * 5),
    ([1.0] * 9, [1] * 9),
    (b"x", bytearray(b"x")),
    (np.arange(3, dtype="i4"), np.arange(3, dtype="i8")),
    (np.arange(3, dtype="<i4"), np.arange(3, dtype=">i4")),
    (np.zeros((2, 3)), np.zeros((3, 2))),
    (np.ones((2, 3), order="C"), np.ones((2, 3), order="F")),
    (np.float32(1), np.float64(1)),
    (pd.Series([1], name="a"), pd.Series([1], name="b")),
    (pd.Series([1], index=[0]), pd.Series([1])),
    (pd.Series([1], dtype="Int64"), pd.Series([1])),
    (torch.ones(2), torch.ones(2, requires_grad=True)),
    (torch.ones(2), torch.nn.Parameter(torch.ones(2), requires_grad=False)),
    (torch.ones(2), torch.ones(2, dtype=torch.float64)),
    (lambda x: x + 1, lambda x: x + 2),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_can_be_told_apart_has_another_digest(one: Any, other: Any) -> None:
    assert digest(one) != digest(other)
    assert digest(one) == digest(one)
    assert digest(other) == digest(other)


def test_what_cannot_be_told_apart_has_the_same_digest() -> None:
    assert digest(float("nan")) == digest(-float("nan"))
    assert digest(str(b"ab", "ascii")) == digest("ab")
    assert digest({8, 0, 16}) == digest({16, 8, 0})
    assert digest([f"x{number}" for number in range(9)]) == digest(["x" + str(number) for number in range(9)])
    masked = pd.array([1, None], "Int64")
    masked._data[1] = 77
    assert digest(masked) == digest(pd.array([1, None], "Int64"))


def test_one_mutable_object_twice_is_not_two_equal_ones() -> None:
    inner: list[int] = []
    block = np.arange(4)
    assert digest([inner, inner]) != digest([[], []])
    assert digest([block, block[:2]]) != digest([block, block[:2].copy()])
    assert digest([(1, 2), (1, 2)]) == digest([(1, 2), tuple(range(1, 3))])


def test_reading_a_frame_does_not_change_its_digest() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    frame["c"] = [0.5, 1.5]
    before = digest(frame)
    assert frame.sum(numeric_only=True).to_numpy().tolist() == [3.0, 2.0]
    assert frame.describe().shape == (8, 2)
    assert frame.loc[1, "b"] == "y"
    assert frame.index.get_loc(1) == 1
    assert digest(frame) == before
    frame.loc[0, "a"] = 5
    assert digest(frame) != before


def test_every_kind_of_change_in_place_changes_the_digest() -> None:
    changes: list[tuple[Any, Callable[[Any], Any]]] = [
        ({"a": [1]}, lambda value: value["a"].append(2)),
        (np.zeros(3), lambda value: value.__setitem__(0, 1)),
        (torch.zeros(3), lambda value: value.add_(1)),
        (torch.nn.Linear(2, 2), lambda value: value.eval()),
        (np.random.default_rng(0), lambda value: value.random()),
        (pd.DataFrame({"a": [1]}), lambda value: value.attrs.update(a=1)),
        (pd.DataFrame({"a": [1]}), lambda value: setattr(value, "columns", ["b"])),
    ]
    for value, change in changes:
        before = digest(value)
        change(value)
        assert digest(value) != before, type(value)


@pytest.mark.parametrize("value", [(each for each in ""), memoryview(b""), sys.stdout.buffer, sys._getframe()])
def test_what_has_no_value_has_no_digest(value: Any) -> None:
    with pytest.raises(Undigestable):
        digest([value])


def test_nesting_without_end_is_refused_not_fatal() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Undigestable):
        digest(deep)


PROGRAM = """
import collections, datetime, enum
from dataclasses import dataclass, field
import numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression
from nbpipe.store.digest import digest
{padding}
@dataclass
class Point:
    x: int
    tags: set = field(default_factory=set)
class Colour(enum.Enum):
    RED = 1
def outer(n):
    def inner(x, k={{"a", "b", "c"}}):
        return x in {{"p", "q", "r"}} or x + n
    return inner
model = LogisticRegression().fit(np.eye(4), [0, 1, 0, 1])
print(digest([
    {{"a", "b", "c", None, (1, "x")}}, Point(1, {{"u", "v", "w"}}), Colour.RED, Point, outer, outer(3), lambda: outer,
    collections.Counter("hello"), datetime.datetime(2020, 1, 1), model, pd.DataFrame({{"a": ["x", "y"], "b": [1, 2]}}),
    {{Point: frozenset("xyz")}},
]))
"""


def test_a_digest_is_the_same_in_every_process_wherever_the_code_stands() -> None:
    found = set()
    for seed, padding in (("1", ""), ("2", "\n\n# elsewhere\n"), ("3", "")):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        program = PROGRAM.format(padding=padding)
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        found.add(done.stdout)
    assert len(found) == 1
