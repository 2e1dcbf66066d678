"""Arrays and frames over one memory are stored apart, and know of each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nbpipe.store import open_store
from nbpipe.store.sharing import beside, reach
from nbpipe.store.values import load_values, save_values


def near(**values: Any) -> dict[str, tuple[str, ...]]:
    return beside({name: reach(value) for name, value in values.items()})


def test_an_array_and_the_frames_over_its_memory_are_beside_each_other() -> None:
    frame = pd.DataFrame({"y": [1.0, 2.0], "label": ["a", "b"]})
    column = frame["y"].to_numpy(copy=False)
    found = near(frame=frame, column=column, other=np.zeros(2), kept={"deep": [frame]})
    assert found == {"frame": ("column",), "column": ("frame", "kept"), "kept": ("column",)}


def test_copies_frames_of_one_frame_and_arrays_alone_are_not() -> None:
    frame = pd.DataFrame({"y": [1.0, 2.0]})
    array = np.zeros(3)
    assert near(frame=frame, rows=frame[frame["y"] > 1], copied=frame["y"].to_numpy(copy=True)) == {}
    assert near(array=array, view=array[1:]) == {}


def test_what_is_beside_a_value_is_written_with_it(tmp_path: Any) -> None:
    store = open_store(str(tmp_path))
    raw = np.arange(3.0)
    values = {"raw": raw, "series": pd.Series(raw, copy=False)}
    saved = save_values(store, values, stage="a")
    assert (saved["raw"].beside, saved["series"].beside) == (("series",), ("raw",))
    back = load_values(store, saved, {})
    assert back["raw"].tolist() == back["series"].tolist() == [0.0, 1.0, 2.0]
