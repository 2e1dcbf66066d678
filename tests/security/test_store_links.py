"""A store that others can write to: what they put there is verified, or it is not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbpipe.errors import SecurityError, StoreError
from nbpipe.store import Store, open_store
from nbpipe.store.trust import default_signer


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("NBPIPE_STORE_KEY", raising=False)
    return open_store(tmp_path / "store")


def test_an_object_replaced_by_a_link_to_another_file_is_not_served(store: Store, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.write_text("private")
    digest = store.objects.put_bytes(b"a result")
    path = store.objects.local_path(digest)
    path.unlink()
    path.symlink_to(private)
    with pytest.raises(StoreError):
        store.objects.get_bytes(digest)
    with pytest.raises(StoreError):
        store.objects.verify(digest)
    assert private.read_text() == "private"


def test_writing_where_somebody_put_a_link_does_not_write_through_it(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    digest = store.objects.put_bytes(b"a result")
    path = store.objects.local_path(digest)
    path.unlink()
    path.symlink_to(outside)
    again = open_store(store.location)
    assert again.objects.put_bytes(b"a result") == digest
    assert outside.read_text() == "untouched"


def test_a_value_signed_by_somebody_else_is_refused_and_so_is_a_key_that_others_can_read(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = store.save_values({"x": {1, 2}, "f": [range(3)]}, stage="one")
    assert store.load_values(saved, {})["x"] == {1, 2}
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
    pickled = {name: artifact for name, artifact in saved.items() if artifact.format == "pickle"}
    assert pickled
    with pytest.raises(SecurityError, match="not signed"):
        open_store(store.location).load_values(pickled, {})
    key = tmp_path / "other" / "nbpipe" / "key"
    assert (key.stat().st_mode & 0o777, key.parent.stat().st_mode & 0o077) == (0o600, 0)
    os.chmod(key, 0o644)  # noqa: PTH101 - what a careless copy does
    with pytest.raises(SecurityError, match="others can read"):
        default_signer()
