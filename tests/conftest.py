"""What tests of several folders ask for by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from compared import compared_runs
from runs import Site

from nbpipe.store import Store, open_store


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A project of its own, of which no process outlives the test."""
    made = Site(tmp_path)
    yield made
    made.end_all()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store with a key of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NBPIPE_STORE_KEY", "a key for the tests only")
    return open_store(tmp_path / "store")


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Three runs to compare, made once: see `compared_runs`. Whoever changes a file puts it back."""
    made = compared_runs(tmp_path_factory.mktemp("compared"))
    yield made
    made.end_all()
