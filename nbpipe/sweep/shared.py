"""One machine for several runs at once: jobs wait here until there is room, whichever run they are of.

Other machines are reached once for all of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbpipe.executors.base import Capacity, Executor, JobState
from nbpipe.model import JobSpec, Options
from nbpipe.run.resources import Slots


class SharedExecutor:
    """Lets the runs of several threads share an executor: its processors, its devices, its warm kernels.

    Must not be closed by a run; who made it closes it.
    """

    def __init__(self, executor: Executor, *, jobs: int | None = None) -> None:
        self._executor = executor
        self._lock = threading.RLock()
        self._slots = Slots(executor.capacity, jobs)
        self._waiting: dict[str, tuple[Path, JobSpec]] = {}
        self._running: set[str] = set()
        self._dropped: set[str] = set()
        self._others: dict[str, Executor] = {}
        self._making = threading.Lock()

    def lend(self, name: str, make: Callable[[], Executor]) -> Executor:
        """The executor of another machine, made by the first run that asks; one run's end does not close it."""
        with self._making:
            if name not in self._others:
                self._others[name] = make()
            return _Lent(self._others[name], self._making)

    @property
    def capacity(self) -> Capacity:
        """What can run at once, of all runs together."""
        return self._executor.capacity

    def submit(self, job_dir: Path, spec: JobSpec) -> str:
        """Start the job, now or when there is room."""
        with self._lock:
            if spec.token not in self._waiting and spec.token not in self._running:
                self._waiting[spec.token] = (job_dir, spec)
                self._start_waiting()
        return spec.token

    def poll(self, handle: str) -> JobState:
        """How it is; its time has not begun while it waits."""
        with self._lock:
            self._start_waiting()
            if handle in self._waiting:
                return JobState("running", begun=False)
            if handle in self._dropped:
                return JobState("exited")
            state = self._executor.poll(handle)
            if state.state != "running" and handle in self._running:
                self._running.discard(handle)
                self._slots.give_back(handle)
                self._start_waiting()
            return state

    def cancel(self, handle: str, *, force: bool = False) -> None:
        """Stop it; one that waits is never started."""
        with self._lock:
            if self._waiting.pop(handle, None) is not None:
                self._dropped.add(handle)
                return
            self._executor.cancel(handle, force=force)

    def close(self) -> None:
        """Stop everything. Safe to repeat."""
        with self._lock:
            self._dropped |= set(self._waiting)
            self._waiting.clear()
            self._executor.close()
        for other in self._others.values():
            other.close()

    def _start_waiting(self) -> None:
        for token, (folder, spec) in list(self._waiting.items()):
            wish = Options(cpus=spec.cpus, gpus=spec.gpus, memory=spec.memory)
            if not self._slots.fits(wish):
                # First come, first served: a job that wants much is not overtaken for ever.
                break
            del self._waiting[token]
            self._slots.take(token, wish)
            self._running.add(token)
            self._executor.submit(folder, spec)


class _Lent:
    """An executor of another machine, as one of the runs has it that share it: its own jobs, and why it reuses no result."""

    def __init__(self, executor: Any, lock: threading.Lock) -> None:
        self._executor = executor
        self._lock = lock
        self._mine: set[str] = set()
        self.unlike = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def submit(self, job_dir: Path, spec: JobSpec) -> str:
        """Start the job."""
        with self._lock:
            self._executor.unlike = self.unlike
            handle: str = self._executor.submit(job_dir, spec)
        self._mine.add(handle)
        return handle

    def close(self) -> None:
        """Stop what still runs of this run."""
        for handle in self._mine:
            if self._executor.poll(handle).state == "running":
                self._executor.cancel(handle, force=True)
