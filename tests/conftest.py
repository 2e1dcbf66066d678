"""What tests of several folders ask for by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A project of its own, of which no process outlives the test."""
    made = Site(tmp_path)
    yield made
    made.end_all()
