"""What two runs of a stage left, side by side: values by digest, then by number, files and metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbpipe.model import Failure, FileState, Outcome
from nbpipe.reproduce.compare import Comparison, Side
from nbpipe.reproduce.verdict import Item, StageVerdict
from nbpipe.store import Store

THEN, NOW = Path("/then/project"), Path("/now/scratch")


class Trap:
    """Says so when it is unpickled."""

    opened = False

    def __init__(self, mark: int) -> None:
        self.mark = mark

    def __setstate__(self, state: dict[str, Any]) -> None:
        Trap.opened = True
        self.__dict__.update(state)


def left(
    store: Store, files: dict[str, bytes] | None = None, metrics: dict[str, float] | None = None, **values: Any
) -> Outcome:
    """A stage that ended well and left these."""
    states = []
    for path, data in (files or {}).items():
        digest = store.objects.put_bytes(data)
        states.append(FileState(path=path, digest=digest, size=len(data), object=digest))
    return Outcome(
        stage="s",
        attempt=1,
        token="t",  # noqa: S106 - of an attempt
        status="succeeded",
        outputs=store.save_values(values, stage="s"),
        files_written=tuple(states),
        metrics=metrics or {},
    )


def compared(store: Store, before: Outcome | None, after: Outcome | None, tolerance: float = 1e-6) -> StageVerdict:
    """The verdict on one stage."""
    then, now = Side(THEN, store, [before] if before else []), Side(NOW, store, [after] if after else [])
    return Comparison(then, now, tolerance, notebook="sub/n.ipynb").stage("s", before, after)


def only(store: Store, before: Any, after: Any) -> Item:
    """What is said of one value."""
    (item,) = compared(store, left(store, x=before), left(store, x=after)).items
    return item


@pytest.mark.parametrize(
    ("before", "after", "verdict", "detail"),
    [
        (np.zeros(3), np.zeros(3), "equal", ""),
        (np.zeros(3), np.full(3, 1e-9), "close", "largest difference 1e-09 at [0]"),
        (np.zeros(3), np.ones(3), "differs", "largest difference 1 at [0]"),
        ([1, 2.0], [1, 2.5], "differs", "largest difference 0.5 at [1]"),
        (1, "1", "differs", "int → str"),
        ({1, 2}, {1, 2, 3}, "differs", "len 2 → 3"),
        ({1, 2}, {1, 3}, "differs", "not the same value; pickles are not opened to compare"),
        (str(THEN / "a.csv"), str(NOW / "a.csv"), "equal", ""),
        (str(THEN), f"{NOW}-other", "differs", f"'{THEN}' → '{NOW}-other'"),
        (THEN, NOW, "equal", ""),
        (THEN / "sub", NOW / "sub", "equal", ""),
        (THEN / "sub", NOW, "differs", "not the same value; pickles are not opened to compare"),
    ],
)
def test_a_value_is_equal_close_or_differs(store: Store, before: Any, after: Any, verdict: str, detail: str) -> None:
    item = only(store, before, after)
    assert (item.verdict, item.detail) == (verdict, detail)


def test_a_pickle_is_never_opened(store: Store) -> None:
    before, after = left(store, x=Trap(1)), left(store, x=Trap(2))
    Trap.opened = False
    assert compared(store, before, after).verdict == "differs"
    assert not Trap.opened


def test_metrics_and_files_are_compared_too(store: Store) -> None:
    before = left(
        store, {"a.json": b'{"x": 1.0}', "b.bin": b"1", "c": b"same"}, {"m": 1.0, "n": float("nan"), "o": 1.0}
    )
    after = left(store, {"a.json": b'{"x": 1.000000001}', "b.bin": b"22", "c": b"same"}, {"m": 1.1, "n": float("nan")})
    found = {item.name: (item.verdict, item.detail) for item in compared(store, before, after).items}
    assert found == {
        "a.json": ("close", "largest difference 1e-09 at ['x']"),
        "b.bin": ("differs", "other bytes (1 → 2)"),
        "c": ("equal", ""),
        "m": ("differs", "1 → 1.1"),
        "n": ("equal", ""),
        "o": ("differs", "1.0 → nothing"),
    }


def test_a_file_that_another_stage_was_seen_to_write_is_no_difference(store: Store) -> None:
    mine, none, other = left(store, {"f": b"1"}), left(store), left(store, {"f": b"1"})
    comparison = Comparison(Side(THEN, store, [mine, none]), Side(NOW, store, [none, other]), 0)
    assert comparison.stage("one", mine, none).verdict == "equal"
    assert comparison.stage("two", none, other).verdict == "equal"
    changed = left(store, {"f": b"2"})
    comparison = Comparison(Side(THEN, store, [mine, none]), Side(NOW, store, [none, changed]), 0)
    assert comparison.stage("one", mine, none).verdict == "differs"


def test_a_stage_that_ends_otherwise_differs_and_one_that_fails_alike_does_not(store: Store) -> None:
    def failed(message: str) -> Outcome:
        failure = Failure(code="user-code", message=message)
        return Outcome(stage="s", attempt=1, token="t", status="failed", failure=failure)  # noqa: S106 - of an attempt

    assert compared(store, failed("no"), failed("no")).verdict == "equal"
    assert compared(store, failed("no"), failed("yes")).verdict == "differs"
    worst = compared(store, left(store), failed("no")).worst
    assert worst is not None
    assert worst.detail == "succeeded → failed: no"
    assert compared(store, left(store), None).verdict == "differs"
    assert compared(store, None, left(store)).unknown
