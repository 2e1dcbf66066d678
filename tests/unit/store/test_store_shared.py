"""A place that two machines reach: what is taken from it is what its hash says, or it is not taken."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nbpipe.errors import CorruptObject, StoreError
from nbpipe.store import shared
from nbpipe.store.base import hash_bytes, hash_file
from nbpipe.store.local import LocalObjects
from nbpipe.store.shared import SharedObjects, check_from_here

DATA = {hash_bytes(text): text for text in (b"", b"one", b"two" * 1000)}


@pytest.fixture(params=["folder", "url"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SharedObjects:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "place").mkdir()
    return SharedObjects(f"{'local://' if request.param == 'url' else ''}{tmp_path}/place")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / f"file-{number}" for number, name in enumerate(DATA)}
    for name, path in found.items():
        path.write_bytes(DATA[name])
    return found


def _there(tmp_path: Path, name: str) -> Path:
    return tmp_path / "place" / "objects" / name[:2] / name


def test_what_was_put_there_is_taken_as_it_was(place: SharedObjects, files: dict[str, Path], tmp_path: Path) -> None:
    place.reach()
    assert place.sizes(files) == {}
    assert place.put(files) == {}
    assert place.sizes([*files, "0" * 64]) == {name: len(data) for name, data in DATA.items()}
    objects = LocalObjects(tmp_path / "objects")
    assert place.take(files, objects) == {}
    assert {name: objects.get_bytes(name) for name in objects.list()} == DATA
    assert place.fetch(files, tmp_path / "cache") == {}
    for name in files:
        place.delete(name)
        place.delete(name)
    assert place.sizes(files) == {}
    assert [path for path in (tmp_path / "place").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("spoilt", [b"", b"tw", b"other"])
def test_what_is_damaged_or_not_there_is_not_taken_and_the_rest_is(
    place: SharedObjects, files: dict[str, Path], tmp_path: Path, spoilt: bytes
) -> None:
    place.put(files)
    empty, one, two = files
    _there(tmp_path, one).unlink()
    _there(tmp_path, one).write_bytes(spoilt)
    _there(tmp_path, two).unlink()
    objects = LocalObjects(tmp_path / "objects")
    failed = place.take(files, objects)
    assert set(failed) == {one, two}
    assert isinstance(failed[one], CorruptObject)
    assert not isinstance(failed[two], CorruptObject)
    assert list(objects.list()) == [empty]
    assert list(objects.temporaries()) == []
    assert set(place.fetch([one], tmp_path / "cache")) == {one}
    assert not (tmp_path / "cache" / one[:2] / one).exists()
    # What is put again replaces it.
    assert place.put({one: files[one]}) == {}
    assert place.take([one], objects) == {}


def test_a_file_that_was_changed_meanwhile_is_not_left_there(
    place: SharedObjects, files: dict[str, Path], tmp_path: Path
) -> None:
    _, one, _ = files
    files[one].write_bytes(b"eno")
    assert isinstance(place.put({one: files[one]})[one], CorruptObject)
    assert not _there(tmp_path, one).exists()


def test_only_an_objects_own_file_is_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shared, "_shares_blocks", lambda *_: False)
    (tmp_path / "place").mkdir()
    place, objects = SharedObjects(str(tmp_path / "place")), LocalObjects(tmp_path / "objects")
    own, mine = objects.put_bytes(b"own"), tmp_path / hash_bytes(b"mine")
    mine.write_bytes(b"mine")
    assert place.put({own: objects.local_path(own), mine.name: mine}) == {}
    assert _there(tmp_path, own).stat().st_ino == objects.local_path(own).stat().st_ino
    assert _there(tmp_path, mine.name).stat().st_ino != mine.stat().st_ino
    mine.write_bytes(b"changed")
    assert _there(tmp_path, mine.name).read_bytes() == b"mine"


@pytest.mark.parametrize("location", ["/nowhere/at/all", "nonsense://bucket/a"])
def test_a_place_that_cannot_be_used_says_so(location: str) -> None:
    place = SharedObjects(location)
    with pytest.raises(StoreError, match=r"the shared store .* cannot be used"):
        place.reach()
    with pytest.raises(StoreError):
        place.sizes(["0" * 64])


def test_a_place_that_says_nothing_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(shared, "_PATIENCE", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(StoreError, match="no answer within"):
            SharedObjects(f"http://127.0.0.1:{silent.getsockname()[1]}/objects").reach()


def test_what_it_signs_in_with_is_not_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-to-be-told")
    (tmp_path / "not-to-be-told").write_text("")
    with pytest.raises(StoreError) as caught:
        SharedObjects(f"{tmp_path}/not-to-be-told/place").reach()
    assert "NotADirectoryError" in caught.value.message.replace("…", "")
    assert caught.value.message.count("not-to-be-told") == 1  # the place itself, which somebody has written down


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("AZURE_STORAGE_CONNECTION_STRING", "AccountName=us;AccountKey=not/told+==;X=y", "AccountKey=not/told+==;X"),
        ("AZURE_STORAGE_CONNECTION_STRING", "AccountName=us;AccountKey=not/told+==;X=y", "signed by not/told+=="),
        ("AZURE_STORAGE_SAS_TOKEN", "sv=2026&sig=not%2Ftold%3D", "PUT /a?sv=2026&sig=not/told="),
        ("A_TOKEN", "not/told/at all", "https://host/?t=not%2Ftold%2Fat%20all"),
        ("A_TOKEN", "not/told/at all", "https://host/?t=not%2Ftold%2Fat+all"),
    ],
)
def test_no_part_of_it_is_said_in_no_spelling(name: str, text: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, text)
    place = SharedObjects("s3://bucket")

    def size(_: str) -> int:
        raise RuntimeError(said)

    monkeypatch.setattr(place, "_size", size)
    with pytest.raises(StoreError, match="RuntimeError: ") as caught:
        place.reach()
    assert "…" in caught.value.message
    assert "told" not in caught.value.message


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/a/b", "/a/b/", True),
        ("file:///a/b", "/a/b", True),
        ("/a/b", "/a/c", False),
        ("s3://a/b", "s3://a/b/", True),
        ("s3://a/b", "s3://a/c", False),
        ("s3://a/b", "/a/b", False),
        ("/a/b", "memory:", False),
    ],
)
def test_a_store_may_be_the_place(one: str, other: str, same: bool) -> None:  # noqa: FBT001 - what is expected
    assert SharedObjects(one).holds(other) == same


def test_another_process_answers_what_was_left_there(place: SharedObjects, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    asked.write_bytes(b"asks")
    name = hash_file(asked)
    assert place.put({name: asked}) == {}
    answer = check_from_here(place.location, name)
    assert place.fetch([answer], tmp_path / "cache") == {}
    command = [sys.executable, "-m", "nbpipe.store.shared", place.location]
    done = subprocess.run([*command, name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, answer)
    done = subprocess.run([*command, "0" * 64], capture_output=True, text=True, check=False)
    assert done.returncode == StoreError.exit_code
    assert "is not in" in done.stderr


_HANGING = """
import pathlib, sys, threading
from nbpipe.store import shared
from nbpipe.store.base import hash_file
from nbpipe.store.local import LocalObjects

shared._PATIENCE = shared._ANSWER = shared._SILENCE = 0.3
folder = pathlib.Path(sys.argv[1])
folder.mkdir()
(folder / "file").write_bytes(b"x")
name = hash_file(folder / "file")
place = shared.SharedObjects(str(folder))
place._size = place._get = place._put = lambda *_: threading.Event().wait()
for ask in (place.reach, lambda: place.sizes([name])):
    try:
        ask()
    except shared.StoreError as error:
        print(error.message)
for act in (
    lambda: place.put({name: folder / "file"}),
    lambda: place.take([name, "0" * 64], LocalObjects(folder / "objects")),
    lambda: place.fetch([name], folder / "fetched"),
):
    print(sorted({error.message for error in act().values()}))
print(place.hangs)
"""


def test_a_place_that_hangs_is_given_up_and_keeps_no_process_from_its_end(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HANGING, str(tmp_path / "place")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    lines = done.stdout.splitlines()
    assert len(lines) == 6, done.stderr
    assert all("no answer within 0.3 s" in line for line in lines[:2])
    assert all("no byte moved within 0.3 s" in line for line in lines[2:5])
    assert lines[5] == "True"
