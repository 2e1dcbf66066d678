"""The slurm target does what every executor does, and what only a scheduler with nodes that get lost can ask of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance import *  # noqa: F403 - the suite
from executing import Ground
from jobs import Bench
from slurmd import Slurm, install, running_slurm

from nbpipe.executors.ssh.executor import SshExecutor
from nbpipe.plan.facts import Outside
from nbpipe.store import open_store

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    install()
    with running_slurm(tmp_path_factory.mktemp("slurm")) as running:
        yield running


class Place:
    """Where the test that runs has its project: executors outlive tests."""

    def __init__(self, slurm: Slurm) -> None:
        self.bench: Bench | None = None
        self.target = slurm.target(sys.executable)

    def make(self) -> SshExecutor:
        return SshExecutor(self.target, here=self.digest)

    def digest(self, path: str) -> str:
        assert self.bench is not None
        store = open_store(self.bench.root / "store")
        return Outside(self.bench.project, store.variable_digest).digest(path)


@pytest.fixture(scope="module")
def place(slurm: Slurm) -> Iterator[Place]:
    patch = pytest.MonkeyPatch()
    for name in ("SLURM_CONF", "PATH"):
        patch.setenv(name, slurm.environment[name])
    patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    yield Place(slurm)
    patch.undo()


@pytest.fixture(scope="module")
def shared(place: Place) -> Iterator[SshExecutor]:
    made = place.make()
    yield made
    made.close()


@pytest.fixture
def ground(tmp_path: Path, slurm: Slurm, place: Place, shared: SshExecutor) -> Iterator[Ground]:
    place.bench = Bench(tmp_path)
    made = Ground(place.bench, place.make, first=shared)
    yield made
    made.close()
