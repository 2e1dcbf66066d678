"""Arrays come back equal however they lie in memory, masked ones included."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from roundtrip import trip

from nbpipe.store import Store

SETTINGS = settings(
    max_examples=int(os.environ.get("NBPIPE_EXAMPLES", "40")), deadline=None, suppress_health_check=list(HealthCheck)
)
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "fortran": np.asfortranarray,
    "reversed": lambda array: array[::-1],
    "gaps": lambda array: array[::2],
    "transposed": lambda array: array.T,
    "broadcast": lambda array: np.broadcast_to(array, (2, *array.shape)),
}


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
    back = trip(store, value)
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
    back = trip(store, value)
    assert (back.mask is np.ma.nomask) == (value.mask is np.ma.nomask)
    assert np.array_equal(np.ma.getmaskarray(back), np.ma.getmaskarray(value))
    assert np.asarray(back.data).tobytes() == np.asarray(value.data).tobytes()
    assert back.hardmask == value.hardmask
