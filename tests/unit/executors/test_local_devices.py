"""GPUs of this machine are everybody's: two runs do not take the same one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from jobs import Bench

from nbpipe.executors.base import JobState
from nbpipe.executors.devices import Devices
from nbpipe.executors.local import LocalExecutor
from nbpipe.executors.ssh.there import keeper


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_a_device_is_one_jobs_until_it_gives_it_back() -> None:
    one, other = Devices(2.0), Devices(2.0)
    assert one.take("a", 1.0) == {"CUDA_VISIBLE_DEVICES": "0"}
    assert other.take("b", 1.0) == {"CUDA_VISIBLE_DEVICES": "1"}
    assert one.take("c", 1.0) is None
    assert other.take("d", 2.0) is None
    one.give_back("a")
    assert other.take("c", 1.0) == {"CUDA_VISIBLE_DEVICES": "0"}
    other.give_back("b")
    other.give_back("c")
    # More than there are is all there are.
    assert one.take("e", 5.0) == {"CUDA_VISIBLE_DEVICES": "0,1"}


def test_parts_of_a_device_are_shared_and_a_whole_one_is_not() -> None:
    one, other = Devices(1.0), Devices(1.0)
    assert one.take("a", 0.5) == other.take("b", 0.5) == {"CUDA_VISIBLE_DEVICES": "0"}
    assert one.take("c", 1.0) is None
    one.give_back("a")
    other.give_back("b")
    assert one.take("c", 1.0) is not None
    assert other.take("d", 0.5) is None


def test_a_job_waits_for_a_device_of_another_run_and_can_be_cancelled_meanwhile(tmp_path: Path) -> None:
    bench, other = Bench(tmp_path), Devices(1.0)
    other.take("other", 1.0)
    executor = LocalExecutor(cpus=2, gpus=1, memory=123)
    assert executor.capacity.memory == 123
    try:
        folder, spec = bench.write("import os\nx = os.environ['CUDA_VISIBLE_DEVICES']", outputs=("x",), gpus=1.0)
        handle = executor.submit(folder, spec)
        given_up = executor.submit(*bench.write("x = 1", gpus=1.0))
        assert executor.poll(handle) == JobState("running", begun=False)
        executor.cancel(given_up)
        assert executor.poll(given_up) == JobState("exited", 130)
        other.give_back("other")
        until = time.monotonic() + 120
        while executor.poll(handle).state == "running":
            assert time.monotonic() < until
            time.sleep(0.01)
        assert executor.poll(handle) == JobState("exited", 0)
    finally:
        executor.close()
