"""A store that is shared with a target is a shortcut: one that cannot be used costs one job's patience, once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from nbpipe.errors import StoreError
from nbpipe.executors.ssh.cargo import Cargo
from nbpipe.executors.ssh.passing import Passing
from nbpipe.store import open_store

JOBS = 5


def test_jobs_that_wait_for_a_store_do_not_try_it_after_one_could_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passing = Passing(str(tmp_path / "shared"), open_store(tmp_path / "store"))
    tries: list[int] = []
    begun = threading.Barrier(JOBS + 1, timeout=60)

    class Large:
        def is_little(self, *_: object) -> bool:
            # All have seen that it may be used before anyone tries it.
            arrived.append(1)
            if len(arrived) == JOBS:
                all_here.set()
            return False

    arrived: list[int] = []
    all_here = threading.Event()

    def reach() -> None:
        tries.append(1)
        assert all_here.wait(60)
        raise StoreError("it does not answer", name="x")

    monkeypatch.setattr(passing._shared, "reach", reach)
    notes: list[str] = []

    def send() -> list[str]:
        begun.wait()
        return passing.send(cast("Cargo", Large()), ["a" * 64], notes.append)

    with ThreadPoolExecutor(JOBS) as pool:
        sent = [pool.submit(send) for _ in range(JOBS)]
        begun.wait()
        assert [one.result(60) for one in sent] == [["a" * 64]] * JOBS
    assert len(tries) == 1
    assert sum("does not answer" in note for note in notes) == 1
    assert sum("could not be used" in note for note in notes) == JOBS - 1
