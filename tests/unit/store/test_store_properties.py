"""Whatever is put together from plain values, arrays and objects comes back equal in value and type, sharing included."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from roundtrip import trip
from sklearn.cluster import KMeans
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from nbpipe.store import Store
from nbpipe.store.values import load_values, save_values

SETTINGS = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


@SETTINGS
@given(items=st.lists(st.none() | st.integers() | st.text() | st.lists(st.integers()), max_size=5))
def test_any_array_of_objects_comes_back(store: Store, items: list[Any]) -> None:
    value = np.empty(len(items), dtype=object)
    value[:] = items
    back = trip(store, value)
    assert back.tolist() == items


@SETTINGS
@given(data=st.data(), size=st.integers(1, 6))
def test_any_web_of_containers_comes_back_with_its_cycles(store: Store, data: st.DataObject, size: int) -> None:
    """Lists and dicts that hold each other and themselves as a random graph says."""
    nodes: list[Any] = [[] if data.draw(st.booleans()) else {} for _ in range(size)]
    for number in range(data.draw(st.integers(0, 3 * size))):
        holder, held = (nodes[data.draw(st.integers(0, size - 1))] for _ in "ab")
        if isinstance(holder, list):
            holder.append(held)
        else:
            holder[number] = held
    back = trip(store, nodes)
    assert shape(back) == shape(nodes)


def shape(root: Any) -> list[Any]:
    """The graph as it is found on the way down: kinds, and which places hold one object."""
    order: dict[int, int] = {}
    found: list[Any] = []

    def walk(node: Any) -> None:
        if id(node) in order:
            found.append(order[id(node)])
            return
        order[id(node)] = len(order)
        found.append((type(node), len(node)))
        for part in node if isinstance(node, list) else node.values():
            walk(part)

    walk(root)
    return found


@SETTINGS
@given(starts=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=4))
def test_views_of_one_array_are_views_of_one_array_again(store: Store, starts: list[tuple[int, int]]) -> None:
    block = np.arange(20.0)
    values = {f"v{at}": block[low : low + size] for at, (low, size) in enumerate(starts)}
    back = load_values(store, save_values(store, values, stage="s"), {})
    for (one, first), (other, second) in product(values.items(), repeat=2):
        assert np.shares_memory(back[one], back[other]) == np.shares_memory(first, second)


ROWS = np.random.default_rng(0).normal(size=(30, 3))
LABELS = (ROWS[:, 0] > 0).astype(int)
ESTIMATORS = [
    Ridge(),
    SVC(),
    DecisionTreeClassifier(random_state=0),
    KNeighborsClassifier(2),
    GradientBoostingRegressor(n_estimators=3, random_state=0),
    KMeans(2, n_init=1, random_state=0),
]


@pytest.mark.parametrize("model", ESTIMATORS, ids=lambda model: type(model).__name__)
def test_any_estimator_gives_the_same_answers_after_it_came_back(store: Store, model: Any) -> None:
    model.fit(ROWS, LABELS)
    back = trip(store, model)
    assert np.array_equal(back.predict(ROWS), model.predict(ROWS))


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.nn.LSTM(3, 4, num_layers=2),
        lambda: torch.nn.TransformerEncoderLayer(4, 2, 8),
        lambda: torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Dropout(0.5)).eval(),
        lambda: torch.nn.Embedding(5, 2, padding_idx=0),
    ],
)
def test_any_module_comes_back_with_its_mode_and_its_weights(store: Store, make: Any) -> None:
    value = make()
    back = trip(store, value)
    assert back.training == value.training
    assert all(torch.equal(back.state_dict()[name], each) for name, each in value.state_dict().items())
