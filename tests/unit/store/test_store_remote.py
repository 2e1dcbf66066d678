"""Where files are written piece by piece, nobody sees half of an object under its name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from nbpipe.errors import StoreError
from nbpipe.store import open_store
from nbpipe.store.base import hash_bytes
from nbpipe.store.gc import gc
from nbpipe.store.remote import upload
from nbpipe.store.shared import SharedObjects

DATA = b"all of it" * 100


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.mark.parametrize("by", ["store", "shared"])
def test_half_of_an_upload_is_not_there(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, name, seen = f"local://{tmp_path}/place", hash_bytes(DATA), []
    store = open_store(url)
    plain = shutil.copyfile

    def stopping(source: Any, target: Any, **options: Any) -> Any:
        if not str(target).startswith(f"{tmp_path}/place"):
            return plain(source, target, **options)
        Path(target).write_bytes(Path(source).read_bytes()[:5])
        seen.append(store.objects.has(name))
        raise ConnectionResetError("the line is dead")

    monkeypatch.setattr(shutil, "copyfile", stopping)
    if by == "store":
        with pytest.raises(StoreError):
            store.objects.put_bytes(DATA)
    else:
        (tmp_path / "file").write_bytes(DATA)
        assert set(SharedObjects(url).put({name: tmp_path / "file"})) == {name}
    assert seen == [False]
    assert not [path for path in (tmp_path / "place").rglob("*") if path.is_file()]


@pytest.mark.parametrize("says", [True, False])
def test_a_place_that_gives_no_name_that_is_taken_is_made_to(tmp_path: Path, says: bool) -> None:  # noqa: FBT001 - what it does
    class Timid(LocalFileSystem):  # type: ignore[misc]
        def mv(self, path1: str, path2: str, **options: Any) -> None:
            if not Path(path2).exists():
                super().mv(path1, path2, **options)
            elif says:
                raise FileExistsError(path2)

    target = tmp_path / "place" / "ab"
    (tmp_path / "file").write_bytes(DATA)
    for before in (b"", b"damaged"):
        if before:
            target.write_bytes(before)
        upload(Timid(skip_instance_cache=True), tmp_path / "file", str(target))
        assert target.read_bytes() == DATA
        assert list(target.parent.iterdir()) == [target]


def test_what_an_upload_that_was_killed_has_left_is_collected_in_time(tmp_path: Path) -> None:
    store = open_store(f"local://{tmp_path}/place")
    name = store.objects.put_bytes(DATA)
    file = tmp_path / "place" / "objects" / name[:2] / name
    old, young = (file.with_name(f"{name}.part-{mark}") for mark in ("1", "2"))
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert list(store.objects.list()) == [name]
    assert gc(store, dry_run=True).bytes == 4
    assert old.exists()
    assert gc(store).bytes == 4
    assert sorted(file.parent.iterdir()) == [file, young]
