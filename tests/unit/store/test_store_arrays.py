"""Arrays come back equal however they lie in memory, masked ones included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from nbpipe.store import Store, open_store
from nbpipe.store.digest import digest
from nbpipe.store.values import load_values, save_values

SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "fortran": np.asfortranarray,
    "reversed": lambda array: array[::-1],
    "gaps": lambda array: array[::2],
    "transposed": lambda array: array.T,
    "broadcast": lambda array: np.broadcast_to(array, (2, *array.shape)),
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NBPIPE_STORE_KEY", "a key for the tests only")
    return open_store(tmp_path / "store")


def _trip(store: Store, value: Any) -> Any:
    artifacts = save_values(store, {"x": value}, stage="s")
    back = load_values(store, artifacts, {})["x"]
    assert type(back) is type(value)
    assert digest(back) == digest(value) == artifacts["x"].digest
    return back


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    dtype = draw(npst.scalar_dtypes() | npst.array_dtypes(max_size=3))
    array = draw(npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)))
    how = draw(st.sampled_from(["plain", "read-only", *LAYOUTS]))
    if array.ndim and how in LAYOUTS:
        array = LAYOUTS[how](array)
    if how == "read-only":
        array.flags.writeable = False
    return array


@SETTINGS
@given(value=arrays())
def test_any_array_comes_back_however_it_lies_in_memory(store: Store, value: np.ndarray[Any, Any]) -> None:
    back = _trip(store, value)
    assert (back.dtype, back.shape) == (value.dtype, value.shape)
    assert back.tobytes() == value.tobytes()


@SETTINGS
@given(
    data=npst.arrays(npst.integer_dtypes() | npst.floating_dtypes(sizes=(32, 64)), 4),
    mask=npst.arrays("?", 4) | st.none(),
    hard=st.booleans(),
)
def test_any_masked_array_comes_back(store: Store, data: Any, mask: Any, hard: bool) -> None:  # noqa: FBT001
    value = np.ma.masked_array(data, mask=np.ma.nomask if mask is None else mask, hard_mask=hard)
    back = _trip(store, value)
    assert (back.mask is np.ma.nomask) == (value.mask is np.ma.nomask)
    assert np.array_equal(np.ma.getmaskarray(back), np.ma.getmaskarray(value))
    assert np.asarray(back.data).tobytes() == np.asarray(value.data).tobytes()
    assert back.hardmask == value.hardmask
