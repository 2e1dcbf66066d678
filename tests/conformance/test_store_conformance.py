"""What every store must do, whatever it is made of."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from uuid import uuid4

import pytest
from buckets import running_bucket

from nbpipe.errors import CorruptObject, StoreError
from nbpipe.model import Artifact, Outcome, Trace
from nbpipe.store import Store, open_store
from nbpipe.store.base import hash_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def bucket() -> Iterator[dict[str, str]]:
    """The environment in which `s3://stores` is a bucket of a server on this machine."""
    with running_bucket() as bucket:
        yield bucket.environment


@pytest.fixture(params=["memory", "local", "fsspec-memory", "fsspec-file", "fsspec-s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NBPIPE_STORE_KEY", "a key for the tests only")
    places = {
        "memory": "memory:",
        "local": str(tmp_path / "store"),
        "fsspec-memory": f"memory://{uuid4().hex}/store",
        "fsspec-file": f"local://{tmp_path}/remote",
        "fsspec-s3": f"s3://stores/{uuid4().hex}",
    }
    if request.param == "fsspec-s3":
        for name, text in request.getfixturevalue("bucket").items():
            monkeypatch.setenv(name, text)
    return open_store(places[request.param])


def trace(store: Store, key: str = "k1", *, run: str = "r1", text: bytes = b"1") -> Trace:
    artifact = Artifact(digest="d", format="json", objects=(store.objects.put_bytes(text),))
    outcome = Outcome(stage="load", attempt=1, token="t", status="succeeded", outputs={"x": artifact})  # noqa: S106
    return Trace(key=key, stage="load", outcome=outcome, run=run)


@pytest.mark.parametrize("data", [b"", b"x", b"abc" * 100_000])
def test_bytes_come_back_under_their_blake3_hash(store: Store, data: bytes) -> None:
    digest = store.objects.put_bytes(data)
    assert digest == hash_bytes(data)
    assert store.objects.get_bytes(digest) == data
    assert store.objects.local_path(digest).read_bytes() == data
    with store.objects.open(digest) as file:
        assert file.read() == data
    assert store.objects.size(digest) == len(data)
    store.objects.verify(digest)


def test_a_stream_and_a_file_are_stored_as_their_bytes_are(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hello")
    digest = store.objects.put_bytes(b"hello")
    assert store.objects.put_file(tmp_path / "file") == digest
    assert store.objects.put_stream(lambda file: cast("None", file.write(b"hel") + file.write(b"lo"))) == (digest, 5)
    assert list(store.objects.list()) == [digest]


def test_a_writer_that_fails_leaves_nothing(store: Store) -> None:
    def broken(file: BinaryIO) -> None:
        file.write(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.objects.put_stream(broken)
    assert list(store.objects.list()) == []


def test_what_is_not_there_is_a_store_error_and_deleting_it_is_none(store: Store) -> None:
    digest = "0" * 64
    assert not store.objects.has(digest)
    store.objects.delete(digest)
    objects = store.objects
    for ask in (objects.get_bytes, objects.local_path, objects.size, objects.verify, objects.check):
        with pytest.raises(StoreError):
            ask(digest)


def test_what_is_kept_counts_as_put_now(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = store.objects.put_bytes(b"kept")
    before = store.objects.modified(digest)
    # S3 tells seconds.
    time.sleep(1.1)
    assert store.objects.keep(digest)
    if store.location != "memory:":
        assert store.objects.modified(digest) == before, "lately put is as good as now"
    for part in ("local", "remote"):
        monkeypatch.setattr(f"nbpipe.store.{part}.LATELY", -1.0)
    assert store.objects.keep(digest, 4)
    assert store.objects.modified(digest) > before
    assert store.objects.get_bytes(digest) == b"kept"
    assert list(store.objects.list()) == [digest]
    assert not store.objects.keep(digest, 5)
    assert not store.objects.keep("0" * 64)


def test_a_large_object_elsewhere_is_known_to_be_there_and_hashed_when_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    digest = open_store(f"local://{tmp_path}/remote").objects.put_bytes(b"large")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("nbpipe.store.remote.LARGE", 5)
    objects = open_store(f"local://{tmp_path}/remote").objects
    objects.check(digest)
    assert not (tmp_path / "cache").exists()
    (tmp_path / "remote" / "objects" / digest[:2] / digest).write_bytes(b"wrong")
    objects.check(digest)
    with pytest.raises(CorruptObject):
        objects.get_bytes(digest)
    monkeypatch.setattr("nbpipe.store.remote.LARGE", 6)
    with pytest.raises(CorruptObject):
        objects.check(digest)


def test_a_store_that_nobody_serves_is_a_store_error(monkeypatch: pytest.MonkeyPatch) -> None:
    fs = pytest.importorskip("s3fs")
    monkeypatch.setenv("NBPIPE_STORE_KEY", "a key for the tests only")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(fs.S3FileSystem, "retries", 1)
    fs.S3FileSystem.clear_instance_cache()
    nobodys = open_store(f"s3://stores/{uuid4().hex}")
    # Other tests are not to be given what leads nowhere.
    fs.S3FileSystem.clear_instance_cache()
    documents, objects = nobodys.documents, nobodys.objects
    asked: list[Any] = [
        lambda: documents.read("a"),
        lambda: documents.write("a", b"1"),
        lambda: documents.names("a"),
        lambda: objects.has("0" * 64),
        lambda: objects.size("0" * 64),
    ]
    for ask in asked:
        with pytest.raises(StoreError, match="cannot be reached"):
            ask()


@pytest.mark.parametrize("name", ["../x", "", "A" * 64, "/etc/passwd", "0" * 63 + "/"])
def test_only_hashes_become_paths(store: Store, name: str) -> None:
    with pytest.raises(StoreError):
        store.objects.get_bytes(name)


def test_a_deleted_object_is_gone_and_can_be_put_again(store: Store) -> None:
    digest = store.objects.put_bytes(b"x")
    store.objects.delete(digest)
    assert not store.objects.has(digest)
    assert store.objects.put_bytes(b"x") == digest
    assert store.objects.get_bytes(digest) == b"x"


def test_a_document_is_created_once_and_replaced_at_will(store: Store) -> None:
    documents = store.documents
    assert documents.read("a/b.json") is None
    assert documents.modified("a/b.json") is None
    assert documents.create("a/b.json", b"1")
    assert not documents.create("a/b.json", b"2")
    assert documents.read("a/b.json") == b"1"
    documents.write("a/b.json", b"3")
    assert documents.read("a/b.json") == b"3"
    assert documents.names("a") == ["a/b.json"]
    documents.delete("a/b.json")
    documents.delete("a/b.json")
    assert documents.names("a") == []


def test_traces_come_back_newest_first(store: Store) -> None:
    for run in ("r1", "r2", "r3"):
        store.traces.commit(trace(store, run=run))
    assert [found.run for found in store.traces.lookup("k1")] == ["r3", "r2", "r1"]
    assert store.traces.lookup("other") == []
    latest = store.traces.latest("load")
    assert latest is not None
    assert latest.run == "r3"


def test_a_trace_whose_object_is_not_stored_is_refused(store: Store) -> None:
    artifact = Artifact(digest="d", format="json", objects=("0" * 64,))
    outcome = Outcome(stage="load", attempt=1, token="t", status="succeeded", outputs={"x": artifact})  # noqa: S106
    with pytest.raises(StoreError):
        store.traces.commit(Trace(key="k", stage="load", outcome=outcome))
    assert store.documents.names("traces") == []


def test_a_trace_whose_object_was_lost_is_a_miss_with_a_reason(store: Store) -> None:
    store.traces.commit(trace(store))
    store.objects.delete(hash_bytes(b"1"))
    problems: list[str] = []
    assert store.traces.lookup("k1", problems) == []
    assert len(problems) == 1


def test_an_edited_or_moved_or_foreign_trace_is_a_miss(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.traces.commit(trace(store))
    (name,) = store.documents.names("traces")
    data = store.documents.read(name) or b""
    store.documents.write(name.replace("k1", "k2"), data)
    assert store.traces.lookup("k2") == []
    store.documents.write(name, data.replace(b'"load"', b'"lead"'))
    assert store.traces.lookup("k1") == []
    store.documents.write(name, data)
    assert len(store.traces.lookup("k1")) == 1
    monkeypatch.setenv("NBPIPE_STORE_KEY", "somebody else's key")
    from nbpipe.store.trust import default_signer

    foreign = Store(store.location, store.objects, store.documents, default_signer())
    problems: list[str] = []
    assert foreign.traces.lookup("k1", problems) == []
    assert "not signed" in problems[0]


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\xfe", b"\n", b"0" * 64 + b"\n{}"])
def test_garbage_in_the_place_of_a_trace_is_a_miss(store: Store, data: bytes) -> None:
    store.documents.write("traces/k1/1.json", data)
    assert store.traces.lookup("k1") == []


def test_hints_come_back_and_forged_ones_do_not(store: Store) -> None:
    assert store.hints.observed("c1") == {}
    store.hints.remember("c1", {"mutates": ["df"]})
    assert store.hints.observed("c1") == {"mutates": ["df"]}
    store.documents.write("observed/c1.json", b'{"mutates": []}')
    assert store.hints.observed("c1") == {}


def test_one_of_two_gets_the_lease_until_it_is_released(store: Store) -> None:
    first = store.leases.claim("k1", "r1")
    assert first is not None
    assert store.leases.claim("k1", "r2") is None
    assert store.leases.holder("k1") == "r1"
    assert store.leases.renew(first)
    first.release()
    second = store.leases.claim("k1", "r2")
    assert second is not None
    first.release()
    assert second.holds()


def test_values_come_back_from_any_store(store: Store) -> None:
    import numpy as np

    values: dict[str, Any] = {"a": np.arange(10.0), "b": {"x": [1, None]}, "c": {1, 2}}
    artifacts = store.save_values(values, stage="s")
    back = store.load_values(artifacts, {})
    assert {name: artifact.format for name, artifact in artifacts.items()} == {"a": "npy", "b": "json", "c": "pickle"}
    assert np.array_equal(cast("Any", back["a"]), np.arange(10.0))
    assert (back["b"], back["c"]) == (values["b"], values["c"])
