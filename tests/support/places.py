"""Where the executors of targets are tried. A test module takes all of it with `from places import *`.

The module gives a fixture `place`, of the module's scope, with the target that its tests run jobs on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from executing import Ground
from jobs import Bench

from nbpipe.executors.ssh.executor import SshExecutor
from nbpipe.plan.facts import Outside
from nbpipe.store import open_store
from nbpipe.targets.settings import Target

__all__ = ["Place", "ground", "place_with", "shared"]


class Place:
    """A target, and where the test that runs has its project: executors outlive tests. `cut` breaks the connection."""

    def __init__(self, target: Target, cut: Callable[[], None] = lambda: None) -> None:
        self.bench: Bench | None = None
        self.target = target
        self.cut = cut

    def make(self) -> SshExecutor:
        """One more executor for it."""
        return SshExecutor(self.target, here=self.digest)

    def digest(self, path: str) -> str:
        """Of a path as it is in the project of the test that runs."""
        assert self.bench is not None
        store = open_store(self.bench.root / "store")
        return Outside(self.bench.project, store.variable_digest).digest(path)


@contextmanager
def place_with(
    target: Target, variables: Mapping[str, str], *, cut: Callable[[], None] = lambda: None
) -> Iterator[Place]:
    """The place, while the environment has these variables; jobs find this very nbpipe."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        for name, text in variables.items():
            patch.setenv(name, text)
        yield Place(target, cut)


@pytest.fixture(scope="module")
def shared(place: Place) -> Iterator[SshExecutor]:
    """The executor of all tests of the module."""
    made = place.make()
    yield made
    made.close()


@pytest.fixture
def ground(tmp_path: Path, place: Place, shared: SshExecutor) -> Iterator[Ground]:
    """The place, with a project of the test's own."""
    place.bench = Bench(tmp_path)
    made = Ground(place.bench, place.make, cut=place.cut, first=shared)
    yield made
    made.close()
