"""Tensors come back equal in every respect; plain ones as safetensors, all else as before."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from roundtrip import trip
from safetensors.torch import load_file

from nbpipe.store import Store
from nbpipe.store.values import load_values, save_values

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
]


def same(back: torch.Tensor, value: torch.Tensor) -> None:
    assert (type(back), back.dtype, back.shape) == (type(value), value.dtype, value.shape)
    assert (back.stride(), back.requires_grad) == (value.stride(), value.requires_grad)
    assert torch.equal(back.detach(), value.detach())


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    made = torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 9)))).to(dtype)
    if made.ndim > 1 and draw(st.booleans()):
        made = made.transpose(0, 1)
    if made.ndim and made.shape[0] > 1 and draw(st.booleans()):
        made = made[1:]
    if dtype.is_floating_point and draw(st.booleans()):
        made = made.detach().requires_grad_(True)  # noqa: FBT003 - torch's own signature
    return made


@SETTINGS
@given(value=tensors())
def test_any_tensor_comes_back(store: Store, value: torch.Tensor) -> None:
    same(trip(store, value), value)


@SETTINGS
@given(value=st.dictionaries(st.text(max_size=4), tensors(), max_size=4))
def test_any_dict_of_tensors_comes_back_in_order(store: Store, value: dict[str, torch.Tensor]) -> None:
    back = trip(store, value)
    assert list(back) == list(value)
    for name, tensor in value.items():
        same(back[name], tensor)


def _network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))


def _tied() -> torch.nn.Module:
    first, last = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    last.weight = first.weight
    return torch.nn.Sequential(first, last)


def _with_gradient() -> torch.Tensor:
    tensor = torch.ones(2, requires_grad=True)
    (tensor * 3).sum().backward()
    return tensor


def _half_used() -> torch.Tensor:
    return torch.arange(100.0)[:50]


def _attributed() -> torch.Tensor:
    tensor = torch.ones(2)
    tensor.note = "n"
    return tensor


FORMATS: dict[str, tuple[Callable[[], Any], str]] = {
    "tensor": (lambda: torch.arange(6.0).reshape(2, 3), "safetensors"),
    "bfloat16": (lambda: torch.ones(3, dtype=torch.bfloat16), "safetensors"),
    "scalar": (lambda: torch.tensor(1), "safetensors"),
    "wants a gradient": (lambda: torch.ones(2, requires_grad=True), "safetensors"),
    "state": (lambda: _network().state_dict(), "safetensors"),
    "dict": (lambda: {"b": torch.ones(2), "a": torch.zeros(3, dtype=torch.bool)}, "safetensors"),
    "ordered": (lambda: OrderedDict(a=torch.ones(2)), "safetensors"),
    "sizes that do not divide": (
        lambda: {"i": torch.ones(3, dtype=torch.int8), "d": torch.ones(1).double()},
        "safetensors",
    ),
    "tied state": (lambda: _tied().state_dict(), "pickle"),
    "gradient": (_with_gradient, "pickle"),
    "part of a storage": (_half_used, "pickle"),
    "attribute": (_attributed, "pickle"),
    "parameter": (lambda: torch.nn.Parameter(torch.ones(2)), "pickle"),
    "buffer": (lambda: torch.nn.Buffer(torch.ones(2)), "pickle"),
    "sparse": (lambda: torch.eye(3).to_sparse(), "pickle"),
    "complex": (lambda: torch.ones(2, dtype=torch.complex64), "pickle"),
    "channels last": (lambda: torch.ones(1, 2, 3, 4).contiguous(memory_format=torch.channels_last), "pickle"),
    "nested": (lambda: {"a": {"b": torch.ones(2)}}, "pickle"),
    "one tensor twice": (lambda: dict.fromkeys("ab", torch.ones(2)), "pickle"),
    "name of the format's own": (lambda: {"__metadata__": torch.ones(2)}, "pickle"),
    "module": (_network, "pickle"),
    "empty": (lambda: torch.empty(0, 3), "pickle"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_only_what_is_its_dtype_shape_and_bytes_is_stored_as_safetensors(store: Store, name: str) -> None:
    make, expected = FORMATS[name]
    value = make()
    back = trip(store, value, expected)
    if isinstance(value, torch.Tensor) and value.layout is torch.strided:
        same(back, value)


def test_a_state_dict_fits_the_module_it_came_from(store: Store) -> None:
    state = _network().state_dict()
    back = trip(store, state, "safetensors")
    assert back._metadata == state._metadata
    assert type(back._metadata) is type(state._metadata)
    network = _network()
    network.load_state_dict(back)
    assert torch.equal(network(torch.ones(2, 3)), _network()(torch.ones(2, 3)))


def test_tied_tensors_stay_tied(store: Store) -> None:
    back = trip(store, _tied().state_dict(), "pickle")
    back["0.weight"][0, 0] = 7.0
    assert back["1.weight"][0, 0] == 7.0


def test_other_programs_can_read_the_file(store: Store) -> None:
    state = _network().state_dict()
    artifact = save_values(store, {"x": state}, stage="s")["x"]
    read = load_file(store.objects.local_path(artifact.objects[0]))
    assert {name: tensor.tolist() for name, tensor in read.items()} == {n: t.tolist() for n, t in state.items()}


def test_a_loaded_tensor_can_be_changed_in_place_and_the_store_stays_as_it_was(store: Store) -> None:
    value = torch.arange(100_000.0)
    artifacts = save_values(store, {"x": value}, stage="s")
    load_values(store, artifacts, {})["x"].add_(1)
    same(load_values(store, artifacts, {})["x"], value)


def test_tensors_of_a_loaded_dict_have_storages_of_their_own(store: Store) -> None:
    back = trip(store, {"a": torch.ones(3), "b": torch.ones(5)}, "safetensors")
    assert [back[name].untyped_storage().nbytes() for name in "ab"] == [12, 20]
