"""Values stored and loaded again."""

from __future__ import annotations

from typing import Any

from nbpipe.store import Store
from nbpipe.store.digest import digest
from nbpipe.store.values import load_values, save_values


def trip(store: Store, value: Any, expected: str | None = None) -> Any:
    """The value as it comes back, equal in type and digest; `expected` is the format it has to be stored in."""
    artifacts = save_values(store, {"x": value}, stage="s")
    back = load_values(store, artifacts, {})["x"]
    assert type(back) is type(value)
    assert digest(back) == digest(value) == artifacts["x"].digest
    if expected is not None:
        assert artifacts["x"].format == expected
    return back
