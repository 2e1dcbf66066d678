"""What a worker says is believed of its own stage only, and nothing of it without a look."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from jobs import Bench

from nbpipe.errors import CorruptObject, SecurityError, StoreError
from nbpipe.executors.ssh.homecoming import Homecoming, take
from nbpipe.model import Artifact, Failure, FileState, Outcome
from nbpipe.store import Store, open_store
from nbpipe.store.base import hash_bytes
from nbpipe.store.gc import gc
from nbpipe.store.trust import Signer

KEY = "a key of the worker's own"


class Worker:
    """A machine with a store of its own, which may lie."""

    def __init__(self, root: Path) -> None:
        self.bench = Bench(root / "here")
        place = open_store(root / "there")
        self.store = Store(place.location, place.objects, place.documents, Signer(KEY.encode()))
        self.spec = self.bench.spec("x = 1", outputs=("x",))

    def values(self, **values: Any) -> dict[str, Artifact]:
        return self.store.save_values(values, stage="train")

    def told(self, **fields: Any) -> Outcome:
        given = {"stage": "train", "attempt": 7, "token": self.spec.token, "status": "succeeded", **fields}
        return Outcome(**given)

    def home(self, told: Outcome, *, unlike: str = "", spoil: bytes | None = None, leave: int | None = None) -> Outcome:
        def fetch(names: Iterable[str], into: Path) -> None:
            for name in names:
                (into / name[:2]).mkdir(exist_ok=True)
                (into / name[:2] / name).write_bytes(spoil or self.store.objects.get_bytes(name))

        store = open_store(self.bench.root / "store")
        homecoming = Homecoming(
            self.spec, store, Signer(KEY.encode()), "gpu", "/there/project", lambda path: f"here:{path}", unlike, leave
        )
        return homecoming.outcome(told, fetch)


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "here").mkdir()
    return Worker(tmp_path)


def test_values_come_home_under_our_own_signature(worker: Worker) -> None:
    outcome = worker.home(worker.told(outputs=worker.values(x={1: {2}}, y=[1.5])))
    assert worker.bench.load(outcome.outputs) == {"x": {1: {2}}, "y": [1.5]}
    assert outcome.attempt == worker.spec.attempt


def test_a_pickle_that_the_worker_did_not_sign_is_refused(worker: Worker) -> None:
    other = Store("x", worker.store.objects, worker.store.documents, Signer(b"somebody else's key"))
    with pytest.raises(SecurityError):
        worker.home(worker.told(outputs=other.save_values({"x": {1: {2}}}, stage="train")))


def test_what_the_worker_signed_is_no_pickle_of_ours(worker: Worker) -> None:
    found = worker.values(x={1: {2}})
    worker.home(worker.told(outputs=found))
    with pytest.raises(SecurityError):
        worker.bench.load(found)


def test_bytes_that_are_not_what_they_are_called_are_refused(worker: Worker) -> None:
    with pytest.raises(CorruptObject):
        worker.home(worker.told(outputs=worker.values(y=[1.5])), spoil=b"other bytes")


@pytest.mark.parametrize("fields", [{"token": "another"}, {"stage": "publish"}])
def test_a_verdict_of_another_attempt_is_refused(worker: Worker, fields: dict[str, str]) -> None:
    with pytest.raises(SecurityError):
        worker.home(worker.told(**fields))


@pytest.mark.parametrize("name", ["../../etc/passwd", "not a hash", "A" * 64, "/" + "a" * 63])
def test_an_object_is_named_by_a_hash(worker: Worker, name: str) -> None:
    with pytest.raises(StoreError):
        worker.home(worker.told(executed=name))


def test_a_folder_that_it_cleared_is_cleared_here_of_what_was_not_sent(worker: Worker) -> None:
    made = FileState(path="out/a.txt", digest="d")
    outcome = worker.home(worker.told(files_written=(made,), cleared=("out", "/scratch")))
    assert outcome.files_written == (made, FileState(path="out/here:out/**/", digest=""))
    assert outcome.cleared == ("out",)


@pytest.mark.parametrize("path", ["../x", "a/../../x", ".git/hooks/pre-commit", ".nbpipe/store/x", "a\0b"])
def test_a_file_that_leads_out_of_the_project_or_into_machinery_is_refused(worker: Worker, path: str) -> None:
    with pytest.raises(SecurityError):
        worker.home(worker.told(files_written=(FileState(path=path, digest="d"),)))


def test_what_cannot_be_compared_here_is_not_reused(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAME", "1")
    monkeypatch.setenv("OTHER", "here")
    there = {name: worker.store.variable_digest(name, text) for name, text in (("SAME", "1"), ("OTHER", "there"))}
    outcome = worker.home(
        worker.told(
            variables=there,
            files_read=(
                FileState(path="data.csv", digest="d"),
                FileState(path="/shared/same", digest="here:/shared/same"),
                FileState(path="/shared/other", digest="d"),
            ),
            files_written=(FileState(path="/scratch/x", digest="d"), FileState(path="out.txt", digest="d")),
        ),
        unlike="packages differ: torch 2.10 (here 2.11)",
    )
    assert [state.path for state in outcome.files_read] == ["data.csv", "/shared/same"]
    assert [state.path for state in outcome.files_written] == ["out.txt"]
    assert outcome.variables == {"SAME": open_store(worker.bench.root / "store").variable_digest("SAME", "1")}
    said = " ".join(outcome.uncacheable)
    assert all(word in said for word in ("/shared/other", "/scratch/x", "OTHER", "torch 2.10"))


def test_messages_speak_of_the_project_as_it_lies_here(worker: Worker) -> None:
    failure = Failure(code="user-code", message="no /there/project/a.csv", traceback='File "/there/project/m.py"')
    outcome = worker.home(worker.told(status="failed", failure=failure))
    assert outcome.failure is not None
    assert outcome.failure.message == f"no {worker.spec.project}/a.csv"
    assert worker.spec.project in outcome.failure.traceback


def test_large_values_stay_with_all_that_share_their_memory(worker: Worker) -> None:
    shared = [bytearray(2000)]
    found = worker.values(x=bytes(2000), y=[1.5], a=shared, b={"c": shared})
    outcome = worker.home(
        worker.told(outputs={"x": found["x"], "a": found["a"]}, observed={"b": found["b"], "y": found["y"]}), leave=1000
    )
    given = {**outcome.outputs, **outcome.observed}
    assert {name: artifact.on for name, artifact in given.items()} == {"x": "gpu", "a": "gpu", "b": "gpu", "y": ""}
    assert given["a"].objects == found["a"].objects
    store = open_store(worker.bench.root / "store")
    assert not any(store.objects.has(digest) for name in "xab" for digest in found[name].objects)
    home = worker.home(worker.told(outputs=found))
    assert {artifact.on for artifact in home.outputs.values()} == {""}


def test_what_came_back_as_it_was_sent_or_lies_beside_other_memory_comes_home(worker: Worker) -> None:
    array = np.zeros(2000)
    found = worker.values(x=bytes(2000), series=pd.Series(array, copy=False), array=array)
    assert found["array"].beside == ("series",)
    worker.spec = msgspec.structs.replace(worker.spec, inputs={"x": found["x"]})
    outcome = worker.home(worker.told(outputs=found), leave=1000)
    assert {artifact.on for artifact in outcome.outputs.values()} == {""}


def test_a_worker_that_says_itself_where_a_value_lies_is_not_believed(worker: Worker) -> None:
    said = {name: msgspec.structs.replace(one, on="elsewhere") for name, one in worker.values(y=[1.5]).items()}
    outcome = worker.home(worker.told(outputs=said))
    assert worker.bench.load(outcome.outputs) == {"y": [1.5]}


def _fetching(data: bytes, asked: list[str]) -> Callable[[Iterable[str], Path], None]:
    def fetch(names: Iterable[str], into: Path) -> None:
        for name in names:
            asked.append(name)
            (into / name[:2]).mkdir(exist_ok=True)
            (into / name[:2] / name).write_bytes(data)

    return fetch


@pytest.fixture(params=["", "local://"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store in a folder, named as one or by a URL."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return open_store(f"{request.param}{tmp_path}/place")


def _file(tmp_path: Path, name: str) -> Path:
    return tmp_path / "place" / "objects" / name[:2] / name


def test_what_the_store_has_already_is_not_collected_before_its_trace_is_there(place: Store, tmp_path: Path) -> None:
    name = place.objects.put_bytes(b"of a run long ago")
    os.utime(_file(tmp_path, name), (0, 0))
    assert gc(place, dry_run=True).objects == 1
    asked: list[str] = []
    take(place, [name], _fetching(b"", asked), "gpu")
    assert not asked
    assert gc(place).objects == 0
    assert place.objects.get_bytes(name) == b"of a run long ago"


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("place", ["local://"], indirect=True)
def test_half_of_an_object_in_a_store_elsewhere_is_not_taken_for_it(
    place: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    large: bool,  # noqa: FBT001 - what is tried
) -> None:
    monkeypatch.setattr("nbpipe.store.remote.LARGE", 1 if large else 1 << 20)
    asked: list[str] = []
    data = b"the whole of it"
    name = hash_bytes(data)
    path = _file(tmp_path, name)
    path.parent.mkdir(parents=True)
    path.write_bytes(data[:7])
    take(place, [name], _fetching(data, asked), "gpu", sizes={name: len(data)} if large else {})
    assert asked == [name]
    assert path.read_bytes() == data
    # What is large, and nobody has said how large, may be the half.
    place.objects.delete(name)
    path.write_bytes(data[:7])
    take(place, [name], _fetching(data, asked), "gpu")
    assert asked == [name, name]
    assert path.read_bytes() == data
    take(place, [name], _fetching(data, asked), "gpu")
    assert asked == [name, name]
