"""A kernel whose cell failed waits, goes on with the mended cell, and never outlives what it waits for."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from executing import gone
from jobs import Bench

from nbpipe.job.folder import KEPT, ORDER, read_verdict, write_durably
from nbpipe.job.kept import Kept, resident
from nbpipe.model import JobSpec
from nbpipe.tracking.spool import read_spool, stage_environment

_CELLS = ("a = [1]\nprint('one')", "import os\nprint(f'pid={os.getpid()};')\na.append(2)\n1 / 0")


class Runner:
    """A job in a process of its own, until its kernel waits."""

    def __init__(self, bench: Bench, *cells: str, **fields: Any) -> None:
        self.bench = bench
        self.folder, self.spec = bench.write(*cells, **{"keep_failed": 60.0, **fields})
        self.process = subprocess.Popen([sys.executable, "-m", "nbpipe.job", str(self.folder)])

    def kept(self) -> Kept:
        """What it says once it waits for the mended cell."""
        _until(lambda: (self.folder / KEPT).exists() or self.process.poll() is not None)
        assert self.process.poll() is None
        return msgspec.json.decode((self.folder / KEPT).read_bytes(), type=Kept)

    def go_on(self, *cells: str, **fields: Any) -> JobSpec:
        """Give the order, and wait until it is taken."""
        order = self.bench.spec(*cells, continues="job", first=1, attempt=2, **{"keep_failed": 60.0, **fields})
        write_durably(self.folder / ORDER, msgspec.json.encode(order))
        _until(lambda: not (self.folder / KEPT).exists())
        return order

    @property
    def kernel(self) -> int:
        return int(self.bench.printed().partition("pid=")[2].partition(";")[0])


def _until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def runner(bench: Bench) -> Iterator[Runner]:
    made = Runner(bench, *_CELLS)
    yield made
    made.process.kill()
    made.process.wait()


def test_the_failure_is_said_at_once_and_the_mended_cell_goes_on_in_what_the_failed_one_left(runner: Runner) -> None:
    kept = runner.kept()
    assert (kept.token, kept.code, kept.cell, kept.index) == (runner.spec.token, 1, 2, 1)
    failed = read_verdict(runner.folder, runner.spec.token)
    assert failed is not None
    assert failed.status == "failed"
    assert failed.continued == ()
    first = runner.go_on(_CELLS[0], "a.append(3)\nprint('still', a)\nraise KeyError(a[-1])", outputs=("b",))
    again = runner.kept()
    assert (again.token, again.cell, again.index) == (first.token, 2, 1)
    assert "still [1, 2, 3]" in runner.bench.printed()
    assert "one" not in runner.bench.printed()
    last = runner.go_on(_CELLS[0], "b = [*a, 4]", "c = 5", outputs=("b", "c"))
    assert runner.process.wait(60) == 0
    done = read_verdict(runner.folder, last.token)
    assert done is not None
    assert runner.bench.load(done.outputs) == {"b": [1, 2, 3, 4], "c": 5}
    assert done.continued == ("train",)
    assert done.uncacheable == ("it was continued at cell 2, in the kernel in which that cell had failed",)


def test_its_outputs_are_those_of_the_cells_that_stand_and_of_the_mended_ones(runner: Runner) -> None:
    runner.kept()
    last = runner.go_on(_CELLS[0], "print('two')")
    assert runner.process.wait(60) == 0
    done = read_verdict(runner.folder, last.token)
    assert done is not None
    from nbpipe.store import open_store

    cells = msgspec.json.decode(open_store(runner.spec.store).objects.get_bytes(done.executed))
    assert [(cell["cell"], cell["outputs"][0]["text"]) for cell in cells] == [(1, "one\n"), (2, "two\n")]


def test_what_the_failed_cell_has_logged_is_logged_once(bench: Bench) -> None:
    logs = "import nbpipe.tracking.spool as s, pathlib\nat = pathlib.Path({!r})\ns.append(at, {{'loss': {}}})\n"
    tracking = stage_environment(bench.root / "jobs" / "0")
    cells = [logs.format(str(bench.root / "jobs" / "0"), value) for value in (3.0, 2.0, 1.0)]
    runner = Runner(bench, cells[0], cells[1] + "1 / 0", tracking=tracking)
    try:
        runner.kept()
        assert read_spool(runner.folder).metrics == {"loss": 2.0}
        runner.go_on(cells[0], cells[2])
        assert runner.process.wait(60) == 0
    finally:
        runner.process.kill()
        runner.process.wait()
    assert [(point.step, point.value) for point in read_spool(runner.folder).curves["loss"]] == [(0, 3.0), (1, 1.0)]


@pytest.mark.long
@pytest.mark.parametrize("why", ["stopped", "folder", "order", "ended", "kernel"])
def test_nothing_is_left_once_nobody_waits_for_it(runner: Runner, why: str) -> None:
    runner.kept()
    kernel = runner.kernel
    if why == "stopped":
        os.kill(runner.process.pid, signal.SIGTERM)
    elif why == "folder":
        shutil.rmtree(runner.folder)
    elif why == "order":
        (runner.folder / KEPT).unlink()
    elif why == "ended":
        write_durably(runner.folder / ORDER, b'{"token": "end"}')
    else:
        os.kill(kernel, signal.SIGKILL)
    assert runner.process.wait(120) in (1, 6)
    assert gone(kernel, 10)
    if why != "folder":
        failed = read_verdict(runner.folder, runner.spec.token)
        assert failed is not None
        assert failed.status == "failed"


@pytest.mark.long
def test_it_ends_with_the_process_that_keeps_it(bench: Bench) -> None:
    folder, _ = bench.write(*_CELLS, keep_failed=60.0)
    keeper = subprocess.Popen(["sh", "-c", '"$0" -m nbpipe.job "$1" & wait', sys.executable, str(folder)])
    _until((folder / KEPT).exists)
    kernel = int(bench.printed().partition("pid=")[2].partition(";")[0])
    keeper.kill()
    keeper.wait()
    assert gone(kernel, 20)
    assert not (folder / KEPT).exists()


@pytest.mark.parametrize("limit", [{"keep_failed": 0.2}, {"keep_memory": 1}])
def test_it_is_kept_for_so_long_and_as_long_as_it_holds_so_little(bench: Bench, limit: dict[str, Any]) -> None:
    runner = Runner(bench, *_CELLS, **limit)
    assert runner.process.wait(60) == 1
    assert gone(runner.kernel, 10)
    assert not (runner.folder / KEPT).exists()


@pytest.mark.long
@pytest.mark.parametrize(
    ("cells", "fields"),
    [
        (("1 / 0",), {}),
        (("a = 1", "import os\nos._exit(3)"), {}),
        (("a = 1", "b = (n for n in [])"), {"outputs": ("b",)}),
        (("a = 1", "assert a > 2"), {"kind": "check"}),
    ],
    ids=["nothing stands", "no kernel", "no cell", "a check"],
)
def test_only_a_kernel_that_is_worth_it_is_kept(bench: Bench, cells: tuple[str, ...], fields: dict[str, Any]) -> None:
    runner = Runner(bench, *cells, **fields)
    assert runner.process.wait(60) != 0
    assert not (runner.folder / KEPT).exists()


def test_memory_is_that_of_the_whole_group() -> None:
    assert resident(os.getpgrp()) > 10_000_000
    assert resident(-1) == 0
