"""Values come back equal in value and type, and with the sharing they had."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import fractions
import functools
import pathlib
import sys
import threading
import types
import uuid
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from roundtrip import trip
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nbpipe.errors import CorruptObject, SecurityError, StoreError, Unserializable
from nbpipe.model import Artifact
from nbpipe.store import Store, open_store
from nbpipe.store.values import absent, load_values, save_state, save_values

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Colour(enum.Enum):
    RED = 1


Point = collections.namedtuple("Point", "x y")  # noqa: PYI024 - the untyped kind is what is tested

PLAIN = {
    "int": 1,
    "huge": 10**5000,
    "true": True,
    "negative zero": -0.0,
    "nan": float("nan"),
    "complex": complex(-0.0, 1),
    "text": "a\ud800\0ü",
    "tuple": (1, [2], {3: (4,)}),
    "int keys": {1: "a", "1": "b"},
    "set": {1, "a", (2, 3), frozenset({4})},
    "bytes": b"\0",
    "bytearray": bytearray(b"x"),
    "range": range(1, 9, 2),
    "slice": slice(1, None),
    "ellipsis": ...,
    "datetime": dt.datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=dt.timezone.utc),
    "decimal": decimal.Decimal("1.10"),
    "fraction": fractions.Fraction(1, 3),
    "path": pathlib.PurePosixPath("a/b"),
    "uuid": uuid.UUID(int=5),
    "enum": Colour.RED,
    "namedtuple": Point(1, [2]),
    "ordered": collections.OrderedDict(b=1, a=2),
    "defaultdict": collections.defaultdict(list, a=[1]),
    "counter": collections.Counter("abca"),
    "deque": collections.deque([1, 2], maxlen=3),
    "partial": functools.partial(int, base=2),
    "class": collections.OrderedDict,
    "function": functools.reduce,
    "builtin": len,
    "namespace": types.SimpleNamespace(a=1),
    "exception": ValueError("a", 1),
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_values_come_back(store: Store, name: str) -> None:
    back = trip(store, PLAIN[name])
    if name not in {"nan", "partial", "exception"}:
        assert back == PLAIN[name]


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text() | st.binary()
hashables = st.none() | st.booleans() | st.integers() | st.text() | st.binary()
nested: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(hashables, inner)
        | st.sets(hashables)
        | st.builds(collections.deque, st.lists(inner))
    ),
    max_leaves=20,
)
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SETTINGS
@given(value=nested)
def test_any_nesting_of_plain_values_comes_back(store: Store, value: Any) -> None:
    trip(store, value)


@SETTINGS
@given(
    array=npst.arrays(
        dtype=npst.scalar_dtypes() | npst.array_dtypes(), shape=npst.array_shapes(min_dims=0, min_side=0, max_side=4)
    ),
    fortran=st.booleans(),
)
def test_any_numpy_array_comes_back(store: Store, array: np.ndarray[Any, Any], fortran: bool) -> None:  # noqa: FBT001
    array = np.asfortranarray(array) if fortran and array.ndim else array
    back = trip(store, array)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.flags.writeable
    assert back.tobytes() == array.tobytes()


ARRAYS: dict[str, Callable[[], Any]] = {
    "read-only": lambda: _read_only(np.arange(5)),
    "big-endian": lambda: np.arange(5, dtype=">i4"),
    "objects": lambda: np.array([1, "a", [2]], dtype=object),
    "strided": lambda: np.arange(20.0)[::2],
    "reversed": lambda: np.arange(5)[::-1],
    "broadcast": lambda: np.broadcast_to(np.arange(3), (4, 3)),
    "masked": lambda: np.ma.masked_array([1, 2, 3], mask=[False, True, False]),
    "matrix of records": lambda: np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "scalar": lambda: np.float32(1.5),
    "datetime": lambda: np.array(["2020-01-01", "NaT"], dtype="M8[s]"),
    "dtype": lambda: np.dtype([("a", ">i4", (2,))]),
    "generator": lambda: np.random.default_rng(3),
    "old generator": lambda: np.random.RandomState(3),
    "empty": lambda: np.empty((0, 3)),
}


def _read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("name", ARRAYS)
def test_numpy_values_come_back(store: Store, name: str) -> None:
    value = ARRAYS[name]()
    back = trip(store, value)
    if isinstance(value, np.ndarray):
        assert back.dtype == value.dtype
        assert back.flags.writeable == value.flags.writeable or name == "broadcast"
        assert np.asarray(back).tolist() == np.asarray(value).tolist()
    if name == "generator":
        assert back.random() == value.random()


DAYS = pd.date_range("2024-03-30", periods=3, freq="D", tz="Europe/Berlin")
FRAMES: dict[str, Callable[[], Any]] = {
    "frame": lambda: pd.DataFrame(
        {"a": [1, 2, 3], "b": [0.5, None, 2], "c": ["x", None, "z"], "d": [True, False, True]}
    ),
    "objects": lambda: pd.DataFrame({"a": [1, "x", [2]]}, dtype=object),
    "categories": lambda: pd.Series(pd.Categorical(["b", None, "b"], categories=["c", "b"], ordered=True)),
    "time zones": lambda: pd.DataFrame({"t": DAYS}, index=DAYS),
    "frequency": lambda: pd.Series(range(3), index=pd.date_range("2024-01-31", periods=3, freq="ME")),
    "nullable": lambda: pd.DataFrame(
        {"i": pd.array([1, None], "Int8"), "b": pd.array([None, True], "boolean"), "s": pd.array(["a", None], "string")}
    ),
    "arrow": lambda: pd.DataFrame({"i": pd.array([1, None], "int64[pyarrow]"), "t": pd.array(["a", None], "str")}),
    "attributes": lambda: _with_attributes(pd.DataFrame({"a": [1]})),
    "period": lambda: pd.Series(pd.period_range("2024-01", periods=3, freq="M")),
    "interval": lambda: pd.Series(pd.interval_range(0, 3, closed="left")),
    "sparse": lambda: pd.Series(pd.arrays.SparseArray([0, 0, 1, 0])),
    "duplicate columns": lambda: pd.DataFrame([[1, "a"], [2, "b"]], columns=["x", "x"]),
    "odd columns": lambda: pd.DataFrame([[1, 2, 3]], columns=[1, (2, 3), None]),
    "several levels": lambda: pd.DataFrame(
        np.eye(4), index=pd.MultiIndex.from_product([[1, 2], ["a", "b"]], names=["n", None])
    ),
    "index": lambda: pd.Index([1.5, None], name="i"),
    "range": lambda: pd.RangeIndex(1, 10, 3, name="r"),
    "timestamp": lambda: pd.Timestamp("2024-01-01", tz="UTC"),
    "missing": lambda: pd.NA,
    "delta": lambda: pd.Series(pd.to_timedelta([1, None], unit="s")),
    "empty": lambda: pd.DataFrame(columns=["a"]),
    "no labels twice": lambda: pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False),
    "fortran": lambda: pd.DataFrame(np.arange(12.0).reshape(3, 4)),
}


def _with_attributes(frame: pd.DataFrame) -> pd.DataFrame:
    frame.attrs["source"] = {"a": [1]}
    return frame


@pytest.mark.parametrize("name", FRAMES)
def test_pandas_values_come_back(store: Store, name: str) -> None:
    value = FRAMES[name]()
    back = trip(store, value)
    if isinstance(value, pd.DataFrame):
        pd.testing.assert_frame_equal(back, value, check_freq=True, check_column_type="exact")
        assert back.attrs == value.attrs
        assert back.flags.allows_duplicate_labels == value.flags.allows_duplicate_labels
        assert back.to_numpy().flags.f_contiguous == value.to_numpy().flags.f_contiguous
    elif isinstance(value, pd.Series):
        pd.testing.assert_series_equal(back, value, check_freq=True)
    elif isinstance(value, pd.Index):
        pd.testing.assert_index_equal(back, value, exact=True)


def test_a_loaded_frame_can_be_changed_without_changing_the_store(store: Store) -> None:
    frame = pd.DataFrame({"a": np.arange(100_000.0)})
    artifacts = save_values(store, {"x": frame}, stage="s")
    first = load_values(store, artifacts, {})["x"]
    first.loc[0, "a"] = 99.0
    pd.testing.assert_frame_equal(load_values(store, artifacts, {})["x"], frame)


@pytest.mark.parametrize(
    "value",
    [
        pl.DataFrame({"a": [1, None], "b": ["x", "y"], "c": [[1], []]}),
        pl.Series("s", [1.5, None]),
        pl.DataFrame({"c": pl.Series(["a", "b"], dtype=pl.Categorical)}),
        pa.table({"a": [1, None], "b": ["x", "y"]}),
        pa.array([1, None, 3]),
    ],
    ids=lambda value: type(value).__module__ + type(value).__name__,
)
def test_columnar_values_come_back(store: Store, value: Any) -> None:
    assert trip(store, value).equals(value)


def _trained() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    return net, optimizer


def _compressed() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch calls the layout a beta
        return torch.eye(3).to_sparse_csr()


def _with_gradient() -> torch.Tensor:
    tensor = torch.ones(2, requires_grad=True)
    (tensor * 3).sum().backward()
    return tensor


def _state() -> Any:
    return _trained()[0].state_dict()


TENSORS: dict[str, Callable[[], Any]] = {
    "tensor": lambda: torch.arange(6.0).reshape(2, 3),
    "bfloat16": lambda: torch.ones(3, dtype=torch.bfloat16),
    "complex": lambda: torch.ones(2, dtype=torch.complex64),
    "scalar": lambda: torch.tensor(1),
    "empty": lambda: torch.empty(0, 3),
    "sparse": lambda: torch.eye(3).to_sparse(),
    "compressed": _compressed,
    "parameter": lambda: torch.nn.Parameter(torch.ones(2)),
    "gradient": _with_gradient,
    "channels last": lambda: torch.ones(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
    "transposed": lambda: torch.arange(6.0).reshape(2, 3).T,
    "state": _state,
    "module": lambda: _trained()[0],
    "optimizer": lambda: _trained()[1],
    "dtype": lambda: torch.float16,
    "generator": lambda: torch.Generator().manual_seed(3),
}


@pytest.mark.parametrize("name", TENSORS)
def test_torch_values_come_back(store: Store, name: str) -> None:
    value = TENSORS[name]()
    if name == "generator":
        back = load_values(store, save_values(store, {"x": value}, stage="s"), {})["x"]
        assert torch.equal(torch.rand(3, generator=back), torch.rand(3, generator=value))
        return
    back = trip(store, value)
    if isinstance(value, torch.Tensor):
        assert (back.dtype, back.shape, back.requires_grad) == (value.dtype, value.shape, value.requires_grad)
        assert torch.equal(back.to_dense(), value.to_dense())
        assert (back.grad is None) == (value.grad is None)
        if value.layout is torch.strided:
            assert back.stride() == value.stride()


def test_estimators_come_back(store: Store) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 3))
    labels = (features[:, 0] > 0).astype(int)
    for model in (RandomForestClassifier(5, random_state=0), make_pipeline(StandardScaler(), LogisticRegression())):
        back = trip(store, model.fit(features, labels))
        assert np.array_equal(back.predict_proba(features), model.predict_proba(features))


# --------------------------------------------------------------------------------------------------- sharing


def test_one_list_under_two_names_stays_one_list(store: Store) -> None:
    shared: list[Any] = [1]
    artifacts = save_values(store, {"a": shared, "b": {"in": shared}, "c": [1]}, stage="s")
    assert artifacts["a"].group == artifacts["b"].group == ("a", "b")
    assert artifacts["c"].group == ()
    back = load_values(store, artifacts, {})
    back["a"].append(2)
    assert back["b"]["in"] == [1, 2]


def test_views_and_tensors_over_one_block_of_memory_stay_so(store: Store) -> None:
    block = np.arange(40_000.0)
    values = {
        "block": block,
        "view": block[10:20],
        "tensor": torch.from_numpy(block)[5:],
        "columns": block.reshape(4, -1),
    }
    back = load_values(store, save_values(store, values, stage="s"), {})
    back["block"][12] = -1.0
    assert back["view"][2] == back["tensor"][7] == back["columns"][0, 12] == -1.0
    assert back["columns"].shape == (4, 10_000)


def test_part_of_a_group_can_be_loaded_alone(store: Store) -> None:
    shared: list[Any] = [1]
    artifacts = save_values(store, {"a": shared, "b": [shared]}, stage="s")
    assert load_values(store, {"b": artifacts["b"]}, {}) == {"b": [[1]]}


def test_sharing_counts_in_the_digest_of_an_artifact(store: Store) -> None:
    shared: list[Any] = [1]
    together = save_values(store, {"a": shared, "b": shared}, stage="s")
    apart = save_values(store, {"a": [1], "b": [1]}, stage="s")
    assert together["a"].digest != apart["a"].digest


def test_a_cycle_comes_back_as_a_cycle(store: Store) -> None:
    ring: list[Any] = [1]
    ring.append(ring)
    back = trip(store, ring)
    assert back[1] is back


def test_a_network_and_its_optimizer_still_belong_together(store: Store) -> None:
    net, optimizer = _trained()
    back = load_values(store, save_values(store, {"net": net, "optimizer": optimizer}, stage="s"), {})
    assert back["optimizer"].param_groups[0]["params"][0] is back["net"][0].weight


# --------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "make",
    [
        lambda: (each for each in ""),
        threading.Lock,
        lambda: open(__file__),  # noqa: PTH123, SIM115 - an open file is the value
        lambda: memoryview(b"x"),
        lambda: torch.ones(1, requires_grad=True) * 2,
        lambda: [1, {"deep": threading.Lock()}],
    ],
)
def test_what_cannot_come_back_is_refused_by_name(store: Store, make: Callable[[], Any]) -> None:
    value = make()
    with pytest.raises(Unserializable) as caught:
        save_values(store, {"fine": 1, "culprit": value}, stage="train")
    if hasattr(value, "close"):
        value.close()
    assert caught.value.name == "culprit"
    assert caught.value.stage == "train"
    assert caught.value.reason


class _Liar:
    def __init__(self) -> None:
        self.kept, self.lost = 1, 2

    def __reduce__(self) -> Any:
        return _liar, (self.kept, self.lost)


def _liar(kept: int, lost: int) -> _Liar:
    made = _Liar()
    made.kept, made.lost = kept, 99
    return made


def test_a_value_that_comes_back_different_is_refused(store: Store) -> None:
    with pytest.raises(Unserializable, match="different"):
        save_values(store, {"x": _Liar()}, stage="s")


def test_absent_names_stay_absent(store: Store) -> None:
    assert load_values(store, {"x": absent()}, {}) == {}


def test_the_state_of_a_definition_comes_back_as_a_dict(store: Store) -> None:
    artifact = save_state(store, "Model", {"count": 3}, stage="s")
    assert artifact.format == "defstate"
    assert load_values(store, {"Model": artifact}, {}) == {"Model": {"count": 3}}


# ------------------------------------------------------------------------------------------------------ trust


def _path(store: Store, artifact: Artifact) -> Path:
    return pathlib.Path(store.location) / "objects" / artifact.objects[0][:2] / artifact.objects[0]


@pytest.mark.parametrize("value", [{"a": 1}, {1}, np.arange(9)], ids=["json", "pickle", "npy"])
@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: bytes([data[0] ^ 1]) + data[1:], lambda _: b""]
)
def test_damage_is_found_before_anything_is_interpreted(
    store: Store, value: Any, damage: Callable[[bytes], bytes]
) -> None:
    artifacts = save_values(store, {"x": value}, stage="s")
    path = _path(store, artifacts["x"])
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(damage(data))
    with pytest.raises(CorruptObject):
        load_values(store, artifacts, {})
    save_values(store, {"x": value}, stage="s")
    load_values(store, artifacts, {})


def test_a_pickle_signed_by_another_is_not_loaded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    artifacts = save_values(store, {"x": {1}}, stage="s")
    monkeypatch.setenv("NBPIPE_STORE_KEY", "somebody else's key")
    with pytest.raises(SecurityError):
        load_values(open_store(store.location), artifacts, {})


def test_a_pickle_that_was_never_signed_is_not_loaded(store: Store, tmp_path: Path) -> None:
    import pickle

    class Trap:
        def __reduce__(self) -> Any:
            return pathlib.Path(tmp_path / "sprung").touch, ()

    for data in (pickle.dumps(Trap()), b"", b"nbpickle", b"\xff" * 72 + b"nbpickle"):
        artifact = Artifact(digest="d", format="pickle", objects=(store.objects.put_bytes(data),))
        with pytest.raises(SecurityError):
            load_values(store, {"x": artifact}, {})
    assert not (tmp_path / "sprung").exists()


def test_state_that_an_object_makes_only_to_be_stored_is_kept_until_it_is(store: Store) -> None:
    generators = [torch.Generator().manual_seed(seed) for seed in range(40)]
    back = trip(store, generators)
    for one, other in zip(generators, back, strict=True):
        assert torch.equal(torch.rand(9, generator=one), torch.rand(9, generator=other))


def test_a_function_that_was_defined_again_is_not_taken_for_the_earlier_one(store: Store) -> None:
    main = vars(sys.modules["__main__"])
    exec("def hook():\n    return 1\n", main)  # noqa: S102 - a cell of a notebook
    try:
        saved = save_values(store, {"hooks": [main["hook"]]}, stage="s")
        exec("\n\ndef hook():\n    return 1\n", main)  # noqa: S102 - a cell of a notebook
        assert load_values(store, saved, main)["hooks"][0]() == 1
        exec("def hook():\n    return 2\n", main)  # noqa: S102 - a cell of a notebook
        with pytest.raises(StoreError, match="before it was defined again"):
            load_values(store, saved, main)
    finally:
        main.pop("hook", None)
        main.pop("hooks", None)


def test_a_format_whose_library_is_not_here_says_which_value_cannot_be_loaded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = save_values(store, {"frame": pl.DataFrame({"a": [1]})}, stage="s")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(StoreError, match=r"'frame' .* cannot be loaded: ModuleNotFoundError"):
        load_values(store, saved, {})
