"""What stands for a value that stayed on a target says what it is, and never passes for the value."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from kernels import Live

import nbpipe
from nbpipe.errors import UsageError
from nbpipe.live.elsewhere.handles import held
from nbpipe.live.elsewhere.places import Places
from nbpipe.model import Artifact, Outcome, Trace
from nbpipe.run.project import Project
from nbpipe.store import open_store
from nbpipe.store.gc import gc

_ATTEMPT = "t"
_ARTIFACT = Artifact(
    digest="d",
    format="npy",
    type="numpy.ndarray",
    objects=("ab",),
    size=1_200_000_000,
    on="g<p>u",
    summary={"shape": [3]},
)


def test_it_says_what_it_is_how_large_and_where() -> None:
    handle = nbpipe.RemoteValue("net", _ARTIFACT)
    assert repr(handle) == "<net: numpy.ndarray, 1.2 GB on g<p>u; loads when a cell uses it>"
    shown = handle._repr_html_()
    assert "1.2 GB on <b>g&lt;p&gt;u</b>" in shown
    assert "shape [3]" in shown
    assert (handle.name, handle.type, handle.bytes, handle.target) == ("net", "numpy.ndarray", 1_200_000_000, "g<p>u")


def test_it_does_not_pass_for_the_value() -> None:
    handle: Any = nbpipe.RemoteValue("net", _ARTIFACT)
    for use in (lambda: handle.shape, lambda: bool(handle), lambda: len(handle), lambda: handle + 1, lambda: handle[0]):
        with pytest.raises((AttributeError, TypeError)):
            use()
    with pytest.raises(TypeError, match="only the value itself"):
        pickle.dumps(handle)


def test_a_target_that_is_gone_from_the_settings_leaves_the_handle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    names: dict[str, Any] = {}
    handles = Places(names).handles
    trace = Trace(key="k", stage="train", outcome=Outcome(stage="train", attempt=1, token=_ATTEMPT, status="succeeded"))
    handles.bind(Project(tmp_path), trace, {"net": _ARTIFACT})
    with pytest.raises(UsageError, match="no target"):
        names["net"].load()
    assert list(held(names)) == ["net"]


class _Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def _watched(live: Live, bring: Any) -> dict[str, Any]:
    """The names of a shell in which `net` has stayed elsewhere; `bring` gives its value."""
    names: dict[str, Any] = live.shell.user_ns
    names["net"] = nbpipe.RemoteValue("net", _ARTIFACT, bring=bring)
    places = Places(names)

    def load(handles: Any) -> Any:
        return names.update({one.name: one.load() for one in handles}) or {}

    places.handles.load = load  # type: ignore[method-assign]
    live.session._watch_handles(places)
    return names


def test_a_cell_of_any_depth_is_looked_at_and_whoever_drops_the_guard_drops_it_for_no_later_value(live: Live) -> None:
    names = _watched(live, lambda _: [1])
    live.run("x = " + " + ".join(["1"] * 700))
    assert names["x"] == 700
    live.run("y = " + " + ".join(["1"] * 700) + " + len(net)")
    assert names["y"] == 701
    live.shell.ast_transformers.clear()
    names = _watched(live, lambda _: [1, 2])
    live.run("y = len(net)")
    assert names["y"] == 2


@pytest.mark.parametrize(
    "error",
    [
        UsageError("no target"),
        OSError(28, "No space left"),
        MemoryError(),
        RecursionError("too deep"),
        ModuleNotFoundError("No module named 'torch'"),
        _Unspeakable(),
        KeyboardInterrupt(),
    ],
)
def test_a_value_that_cannot_be_brought_keeps_the_cell_from_running(live: Live, error: BaseException) -> None:
    def bring(_: object) -> None:
        raise error

    names = _watched(live, bring)
    assert "The cell did not run" in live.run("ran = True\nnet").replace("the cell", "The cell")
    assert "ran" not in names
    live.run("other = True")
    assert names["other"]
    live.run("net = 1", "ran = net")
    assert names["ran"] == 1


def test_a_result_of_which_something_stayed_elsewhere_is_no_run_s_and_what_is_here_of_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    store = open_store(tmp_path / "store")
    printed = store.objects.put_bytes(b"[]")
    outcome = Outcome(
        stage="train", attempt=1, token=_ATTEMPT, status="succeeded", outputs={"net": _ARTIFACT}, executed=printed
    )
    store.commit(Trace(key="k", stage="train", outcome=outcome))
    assert store.traces.lookup("k") == []
    assert [trace.outcome.outputs["net"].on for trace in store.left.lookup("k")] == ["g<p>u"]
    assert gc(store, grace=0).objects == 0
    assert store.objects.has(printed)
    store.left.forget("k")
    assert gc(store, grace=0).objects == 1
