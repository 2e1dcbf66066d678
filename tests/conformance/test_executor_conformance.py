"""The executors of this machine do what every executor does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance import *  # noqa: F403 - the suite
from executing import Ground, Job
from jobs import Bench

from nbpipe.executors.base import Executor, JobState
from nbpipe.executors.faulty import FaultyExecutor
from nbpipe.executors.local import LocalExecutor


@pytest.fixture(scope="module")
def local() -> Iterator[LocalExecutor]:
    made = LocalExecutor(cpus=4, gpus=2)
    yield made
    made.close()


@pytest.fixture
def ground(tmp_path: Path, local: LocalExecutor) -> Iterator[Ground]:
    made = Ground(Bench(tmp_path), lambda: LocalExecutor(cpus=4, gpus=2), first=local)
    yield made
    made.close()


@pytest.fixture(params=["local", "fake"])
def any_executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    made: Executor = LocalExecutor(cpus=2) if request.param == "local" else FaultyExecutor()
    yield made
    made.close()


def test_the_protocol_holds_for_the_fake_as_well(any_executor: Executor, tmp_path: Path) -> None:
    folder, spec = Bench(tmp_path).write("x = 1")
    assert any_executor.poll(spec.token) == JobState("lost")
    handle = any_executor.submit(folder, spec)
    assert any_executor.submit(folder, spec) == handle
    ended = Job(any_executor, folder, spec, handle)
    assert ended.wait() == JobState("exited", 0)
    assert ended.outcome.status == "succeeded"
    any_executor.cancel(handle)
    assert any_executor.poll(handle) == JobState("exited", 0)
    any_executor.close()
    any_executor.close()
