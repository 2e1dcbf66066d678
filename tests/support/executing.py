"""What an executor is tried with: jobs on a bench, and how to break the machine it runs them on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from jobs import Bench

from nbpipe.executors.base import Executor, JobState
from nbpipe.job.folder import KEPT, LOG, read_verdict
from nbpipe.job.kept import Kept
from nbpipe.model import JobSpec, Outcome


@dataclass
class Ground:
    """An executor with a bench whose project it runs jobs of. `make` gives another executor for the same place.

    `first`, where it is given, outlives the test: starting one costs more than a job.
    """

    bench: Bench
    make: Callable[[], Executor]
    #: Breaks the connection, where there is one.
    cut: Callable[[], None] = lambda: None
    first: Executor | None = None
    made: list[Executor] = field(default_factory=list)

    @property
    def executor(self) -> Executor:
        """The one that most tests use."""
        if self.first is None:
            self.first = self.another()
        return self.first

    def another(self) -> Executor:
        """One more, as another process would have it."""
        self.made.append(self.make())
        return self.made[-1]

    def close(self) -> None:
        for executor in self.made:
            executor.close()

    def submit(self, *bodies: str, **fields: Any) -> Job:
        """Start a job of these cells."""
        return self.submit_to(self.executor, *bodies, **fields)

    def submit_to(self, executor: Executor, *bodies: str, **fields: Any) -> Job:
        """The same, on one that is not shared."""
        folder, spec = self.bench.write(*bodies, **fields)
        return Job(executor, folder, spec, executor.submit(folder, spec))

    def run(self, *bodies: str, **fields: Any) -> Job:
        """The same, to its end."""
        job = self.submit(*bodies, **fields)
        job.wait()
        return job


@dataclass
class Job:
    """A job that was submitted."""

    executor: Executor
    folder: Path
    spec: JobSpec
    handle: str

    def wait(self, seconds: float = 120.0) -> JobState:
        """Its state once it has ended."""
        until = time.monotonic() + seconds
        while (state := self.executor.poll(self.handle)).state == "running":
            assert time.monotonic() < until, "it did not end"
            time.sleep(0.01)
        return state

    @property
    def verdict(self) -> Outcome | None:
        return read_verdict(self.folder, self.spec.token)

    @property
    def outcome(self) -> Outcome:
        found = self.verdict
        assert found is not None
        return found

    @property
    def log(self) -> str:
        """The log so far; nothing before there is one."""
        try:
            return (self.folder / LOG).read_text()
        except FileNotFoundError:
            return ""

    def await_log(self, text: str, seconds: float = 120.0) -> None:
        """Wait until it has printed this, and not ended before."""
        until = time.monotonic() + seconds
        while text not in self.log:
            assert self.executor.poll(self.handle).state == "running", self.log
            assert time.monotonic() < until, self.log
            time.sleep(0.01)


#: Prints its own process and that of a child that sleeps, which nobody told of.
WITH_CHILD = (
    "import os, subprocess, time\nchild = subprocess.Popen(['sleep', '777'])\n"
    "print(f'pids={os.getpid()},{os.getppid()},{child.pid};', flush=True)\ntime.sleep(600)"
)


def pids(job: Job) -> list[int]:
    """Kernel, runner, and the kernel's child, of a job of `WITH_CHILD`."""
    job.await_log("pids=")
    return [int(word) for word in job.log.partition("pids=")[2].partition(";")[0].split(",")]


_FAILS = (
    "import os\na = [1]\nprint(f'pid={os.getpid()}; job=' + os.environ.get('SLURM_JOB_ID', ''), flush=True)",
    "a.append(2)\n1 / 0",
)


@dataclass
class Left:
    """A job that failed in its second cell, and what is known of the kernel that it left: process, and Slurm's number."""

    job: Job
    kept: Kept
    pid: int
    number: str

    def go_on(self, ground: Ground, executor: Executor, *cells: str, **fields: Any) -> Job:
        """Another attempt, with these cells in place of the second: `a` is `[1, 2]` in that kernel, `[1]` in a new one."""
        return ground.submit_to(executor, _FAILS[0], *cells, continues=self.kept.job, first=1, **fields)

    def goes_on_twice(self, ground: Ground, executor: Executor, **fields: Any) -> tuple[Job, Job]:
        """It fails in that kernel once more, then ends well in it, and the kernel with it."""
        again = self.go_on(ground, executor, "print('pid', os.getpid())\na[2]", **fields)
        assert again.wait() == JobState("exited", 1), again.log
        assert f"pid {self.pid}" in again.log
        kept = msgspec.json.decode((again.folder / KEPT).read_bytes(), type=Kept)
        assert (kept.job, kept.token) == (self.kept.job, again.spec.token)
        done = self.go_on(ground, executor, "b = [*a, 3]", outputs=("b",), **fields)
        assert done.wait() == JobState("exited", 0), done.log
        assert ground.bench.load(done.outcome.outputs) == {"b": [1, 2, 3]}
        assert done.outcome.continued == ("train",)
        assert "goes on at cell 2" in done.log
        assert gone(self.pid, 10)
        return again, done

    def begins_anew(self, ground: Ground, executor: Executor, why: str) -> None:
        """There is no such kernel any more: it begins at its first cell, and says why."""
        anew = self.go_on(ground, executor, "b = [*a, 3]", outputs=("b",))
        assert anew.wait() == JobState("exited", 0), anew.log
        assert "begins at its first cell: " in anew.log
        assert why in anew.log
        assert ground.bench.load(anew.outcome.outputs) == {"b": [1, 3]}
        assert anew.outcome.continued == ()


def left_by(ground: Ground, executor: Executor, **fields: Any) -> Left:
    """Run such a job, whose verdict comes while its kernel waits."""
    job = ground.submit_to(executor, *_FAILS, **fields)
    assert job.wait() == JobState("exited", 1), job.log
    assert job.outcome.failure is not None
    assert job.outcome.failure.code == "user-code"
    kept = msgspec.json.decode((job.folder / KEPT).read_bytes(), type=Kept)
    said = job.log.partition("pid=")[2].partition("\\n")[0]
    return Left(job, kept, int(said.partition(";")[0]), said.partition("job=")[2])


def gone(pid: int, seconds: float = 60.0) -> bool:
    """Whether the process is no more, within this time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if ") Z" in Path(f"/proc/{pid}/stat").read_text():
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def signal_all(numbers: list[int], number: signal.Signals) -> None:
    """Send it to each that is still there."""
    for pid in numbers:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
