"""One machine for several runs at once: jobs wait here until there is room, whichever run they are of.

Other machines are reached once for all of them.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from socket import socket
from typing import Any

from nbpipe.executors.base import Audible, Capacity, Executor, Expecting, JobState
from nbpipe.job.readable import readable
from nbpipe.model import JobSpec, Options
from nbpipe.run.resources import Slots


class SharedExecutor:
    """Lets the runs of several threads share an executor: its processors, its devices, its warm kernels.

    Must not be closed by a run; who made it closes it.
    """

    def __init__(self, executor: Executor, *, jobs: int | None = None) -> None:
        #: How many runs may begin soon that have not begun.
        self.to_come = 0
        self._executor = executor
        self._jobs = jobs
        self._lock = threading.RLock()
        self._slots = Slots(executor.capacity, jobs)
        self._waiting: dict[str, tuple[Path, JobSpec]] = {}
        self._running: set[str] = set()
        self._states: dict[str, JobState] = {}
        #: Thread -> how many more jobs its run expects.
        self._expected: dict[int, int] = {}
        self._news = threading.Condition(self._lock)
        #: How many jobs have ended, and how many of them each thread knows of.
        self._ended = 0
        self._known = threading.local()
        #: One of the threads that wait listens for all; the bell wakes it where another has heard the news.
        self._listened = False
        self._bell: tuple[int, ...] = os.pipe()
        for end in self._bell:
            os.set_blocking(end, False)
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

    def expect(self, jobs: int, cwd: str) -> None:
        """Have kernels wait in a folder: for that many jobs of the run that asks, for the others', for runs to come."""
        with self._lock:
            self._expected[threading.get_ident()] = jobs
            wanted = sum(self._expected.values()) + self.to_come
            if isinstance(self._executor, Expecting):
                self._executor.expect(min(wanted, self._jobs or wanted), cwd)

    def ended(self) -> None:
        """The run of this thread has ended, with however many jobs it still expected."""
        with self._lock:
            self._expected.pop(threading.get_ident(), None)

    def submit(self, job_dir: Path, spec: JobSpec) -> str:
        """Start the job, now or when there is room."""
        with self._lock:
            if spec.token not in self._waiting and spec.token not in self._states:
                self._waiting[spec.token] = (job_dir, spec)
                self._start_waiting()
        return spec.token

    def poll(self, handle: str) -> JobState:
        """How it is; its time has not begun while it waits."""
        with self._lock:
            self._look()
            waits = JobState("running", begun=False) if handle in self._waiting else JobState("lost")
            return self._states.get(handle, waits)

    def wait(self, seconds: float) -> None:
        """Until a job has ended, of whichever run, that the thread did not know of; but no longer than that."""
        until = time.monotonic() + seconds
        while True:
            with self._news:
                left = until - time.monotonic()
                known, self._known.ended = getattr(self._known, "ended", 0), self._ended
                if known != self._ended or left <= 0:
                    return
                if self._listened:
                    self._news.wait(left)
                    continue
                self._listened = True
                heard: list[socket | int] = [self._bell[0]]
                heard += self._executor.channels if isinstance(self._executor, Audible) else []
            # Another thread may find out meanwhile that who speaks has gone.
            with contextlib.suppress(OSError, ValueError):
                readable(heard, left)
            with self._news:
                self._listened = False
                with contextlib.suppress(BlockingIOError):
                    os.read(self._bell[0], 4096)
                self._look()
                self._news.notify_all()

    def cancel(self, handle: str, *, force: bool = False) -> None:
        """Stop it; one that waits is never started."""
        with self._lock:
            if self._waiting.pop(handle, None) is not None:
                self._states[handle] = JobState("exited")
                return
            self._executor.cancel(handle, force=force)
            self._look()

    def close(self) -> None:
        """Stop everything. Safe to repeat."""
        with self._lock:
            self._states |= dict.fromkeys(self._waiting, JobState("exited"))
            self._waiting.clear()
            self._executor.close()
            while self._bell:
                os.close(self._bell[0])
                self._bell = self._bell[1:]
        for other in self._others.values():
            other.close()

    def _look(self) -> None:
        """See which jobs have ended, of all runs: what was said of one is not said again to who asks for it."""
        before = self._ended
        if isinstance(self._executor, Audible):
            self._executor.wait(0)
        for handle in list(self._running):
            self._states[handle] = self._executor.poll(handle)
            if self._states[handle].state != "running":
                self._running.discard(handle)
                self._slots.give_back(handle)
                self._ended += 1
        self._start_waiting()
        if self._ended != before:
            self._news.notify_all()
            if self._listened:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._bell[1], b".")

    def _start_waiting(self) -> None:
        for token, (folder, spec) in list(self._waiting.items()):
            wish = Options(cpus=spec.cpus, gpus=spec.gpus, memory=spec.memory)
            if not self._slots.fits(wish):
                # First come, first served: a job that wants much is not overtaken for ever.
                break
            del self._waiting[token]
            self._slots.take(token, wish)
            self._running.add(token)
            self._states[token] = JobState("running")
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
