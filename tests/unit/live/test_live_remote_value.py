"""What stands for a value that stayed on a target says what it is, and never passes for the value."""

from __future__ import annotations

import contextlib
import operator
import pickle
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from kernels import Live

import nbpipe
from nbpipe.errors import UsageError
from nbpipe.live.elsewhere.handles import held
from nbpipe.live.elsewhere.places import Places
from nbpipe.model import Artifact, Outcome, Trace
from nbpipe.run.project import Project
from nbpipe.store import Store, open_store
from nbpipe.store.gc import gc
from nbpipe.store.values import save_values

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
    known = handle.remote
    assert (known.name, known.type, known.bytes, known.target) == ("net", "numpy.ndarray", 1_200_000_000, "g<p>u")
    # What a front-end shows of it; it asks for methods that are not there, too.
    formatter = DisplayFormatter()
    assert formatter.format(handle)[0] == {"text/plain": repr(handle), "text/html": shown}
    assert {handle: 1}[handle] == 1


def test_it_does_not_pass_for_the_value() -> None:
    handle: Any = nbpipe.RemoteValue("net", _ARTIFACT)
    array = np.ones(2)
    uses: list[Callable[[], Any]] = [
        lambda: handle.shape,
        lambda: hasattr(handle, "shape"),
        lambda: getattr(handle, "name", 1),
        lambda: bool(handle),
        lambda: len(handle),
        lambda: list(handle),
        handle,
        lambda: handle[0],
        lambda: handle == [1],
        lambda: handle != [1],
        lambda: handle < 1,
        lambda: 1 in handle,
        lambda: [[1]].index(handle),
        lambda: str(handle),
        lambda: f"{handle}",
        lambda: f"{handle:>9}",
        lambda: [1, 2][handle],
        lambda: float(handle),
        lambda: handle + 1,
        lambda: 1 + handle,
        lambda: array * handle,
        lambda: np.asarray(handle),
        lambda: np.add(array, handle),
        lambda: np.concatenate([handle]),
        lambda: setattr(handle, "shape", 1),
        lambda: delattr(handle, "remote"),
        lambda: operator.setitem(handle, 0, 1),
    ]
    for use in uses:
        with pytest.raises(UsageError, match="is still on"):
            use()
    assert not hasattr(handle, "__array_interface__")
    with pytest.raises(UsageError, match="belongs to no kernel"):
        handle.load()
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
        # Not by `names`: a function that holds them would be taken for one that looks at them.
        return live.shell.user_ns.update({one.remote.name: one.load() for one in handles}) or {}

    places.handles.load = load  # type: ignore[method-assign]
    live.session._places, live.session._guard = places, None
    live.session._watch_handles()
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


class _Interrupted(dict[str, Any]):
    """Names, of which the one that is bound after `left` others is Ctrl-C."""

    left = -1

    def __setitem__(self, name: str, value: Any) -> None:
        self.left -= 1
        if self.left == -1:
            raise KeyboardInterrupt
        super().__setitem__(name, value)


class _Box:
    """A target that has nothing to send: all is here."""

    target = types.SimpleNamespace(name="box")

    def bring(self, _store: Store, artifacts: dict[str, Artifact], _scratch: Path) -> dict[str, Artifact]:
        return {name: msgspec.structs.replace(one, on="") for name, one in artifacts.items()}


def _leave(root: Path, monkeypatch: pytest.MonkeyPatch, names: dict[str, Any], values: dict[str, Any]) -> None:
    """Bind names to handles for values that are on `box`."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(root / "config"))
    monkeypatch.setattr(Places, "store_of", lambda *_: _Box())
    (root / "nbpipe.toml").write_text('[targets.box]\nkind = "ssh"\nhost = "h"\n')
    project = Project(root)
    saved = save_values(open_store(project.store), values, stage="s")
    trace = Trace(key="k", stage="s", outcome=Outcome(stage="s", attempt=1, token=_ATTEMPT, status="succeeded"))
    left = {name: msgspec.structs.replace(one, on="box") for name, one in saved.items()}
    Places(names).handles.bind(project, trace, left)


def test_values_that_stayed_are_brought_after_nbpipe_was_unloaded_or_loaded_again(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = live.shell.user_ns
    _leave(live.root, monkeypatch, names, {"net": [1, 2], "big": [3], "last": [4]})
    live.session._watch_handles()
    live.run("%reload_ext nbpipe", "%reload_ext nbpipe", "n = len(net)")
    assert (names["n"], sorted(held(names))) == (2, ["big", "last"])
    assert len(live.shell.ast_transformers) == 1
    live.run("%unload_ext nbpipe", "n = len(big)")
    assert (names["n"], sorted(held(names))) == (1, ["last"])
    live.run("%load_ext nbpipe", "n = last[0]")
    assert (names["n"], sorted(held(names))) == (4, [])
    live.run("%reload_ext nbpipe")
    assert live.shell.ast_transformers == []


@pytest.mark.parametrize("after", range(7))
def test_ctrl_c_at_any_time_leaves_all_handles_or_all_values_that_share_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    names = _Interrupted()
    inner = [1]
    _leave(tmp_path, monkeypatch, names, {"a": [inner], "b": inner})
    names["again"] = names["a"]
    names.left = after
    with contextlib.suppress(KeyboardInterrupt):
        names["a"].load()
    assert (sorted(held(names)) == ["a", "again", "b"]) or (
        names["a"][0] is names["b"] and names["again"] is names["a"]
    )
