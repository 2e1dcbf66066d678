"""--only, --from, --until, --fresh: who takes part, and who runs whatever the cache holds."""

from __future__ import annotations

from typing import Any

import pytest

from nbpipe.errors import UsageError
from nbpipe.model import Edge, Pipeline, Stage
from nbpipe.run.selection import select

# load → clean → train → check; load → plot
_EDGES = (("load", "clean"), ("clean", "train"), ("train", "check"), ("load", "plot"))
_NAMES = ("load", "clean", "train", "plot", "check")
_PIPELINE = Pipeline(
    name="n",
    stages=tuple(Stage(name=name, kind="stage", cells=()) for name in _NAMES),
    edges=tuple(Edge(source=source, target=target) for source, target in _EDGES),
)


def _select(**given: Any) -> tuple[set[str], set[str] | None, set[str]]:
    found = select(_PIPELINE, **({"only": None, "from_": None, "until": None, "fresh": False} | given))
    selected = found["selected"]
    return set(found["forced"]), set(selected) if selected is not None else None, set(found["cached_only"])


def test_nothing_asked_for_is_everything_as_needed() -> None:
    assert _select() == (set(), None, set())


def test_fresh_forces_every_stage() -> None:
    assert _select(fresh=True) == (set(_NAMES), None, set())


def test_only_runs_one_stage_and_wants_the_rest_from_the_cache() -> None:
    assert _select(only="train") == ({"train"}, {"load", "clean", "train"}, {"load", "clean"})


def test_from_forces_a_stage_and_all_that_depend_on_it() -> None:
    assert _select(from_="clean") == ({"clean", "train", "check"}, None, set())


def test_until_leaves_out_what_it_does_not_need() -> None:
    assert _select(until="clean") == (set(), {"load", "clean"}, set())


def test_from_and_until_go_together() -> None:
    forced, selected, cached = _select(from_="clean", until="train")
    assert (forced & (selected or set()), selected, cached) == ({"clean", "train"}, {"load", "clean", "train"}, set())


def test_fresh_until_forces_only_what_takes_part() -> None:
    forced, selected, _ = _select(fresh=True, until="clean")
    assert forced & (selected or set()) == {"load", "clean"}


@pytest.mark.parametrize("option", ["only", "from_", "until"])
def test_a_stage_that_is_not_there_is_named_with_the_nearest(option: str) -> None:
    with pytest.raises(UsageError, match="'trian'") as raised:
        _select(**{option: "trian"})
    assert raised.value.name == "trian"
    assert "train" in (raised.value.fix or "")


def test_a_name_like_no_other_lists_the_stages() -> None:
    with pytest.raises(UsageError) as raised:
        _select(only="zzz")
    assert "load, clean, train" in (raised.value.fix or "")


@pytest.mark.parametrize("other", ["from_", "until"])
def test_only_goes_with_nothing_else(other: str) -> None:
    with pytest.raises(UsageError, match="--only"):
        _select(only="train", **{other: "train"})
