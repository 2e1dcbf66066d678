"""What every executor can do: start a job, say how it is, stop it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Literal, Protocol, runtime_checkable

from nbpipe.model import JobSpec


@dataclass(frozen=True, slots=True)
class JobState:
    """`exited` says only that the process ended: what came of it stands in the verdict. `lost`: nobody knows."""

    state: Literal["running", "exited", "lost"]
    returncode: int | None = None
    #: False while what it needs travels, or it waits for a device: its time has not begun.
    begun: bool = True


@dataclass(frozen=True, slots=True)
class Capacity:
    """What can run at once."""

    cpus: float
    gpus: float = 0.0
    #: Bytes; None where nobody counted.
    memory: int | None = None


class Executor(Protocol):
    """Starts jobs. It never reads what a job wrote, and never decides whether one succeeded."""

    @property
    def capacity(self) -> Capacity:
        """What can run at once."""

    def submit(self, job_dir: Path, spec: JobSpec) -> str:
        """Start the job in `job_dir`; returns its handle. Submitting the same token again gives the same handle."""

    def poll(self, handle: str) -> JobState:
        """How it is, without waiting."""

    def cancel(self, handle: str, *, force: bool = False) -> None:
        """Stop it and all it started, within two seconds; `force` kills at once. Nothing happens if it has ended."""

    def close(self) -> None:
        """Stop everything that still runs and let go of all resources. Safe to repeat."""


@runtime_checkable
class Expecting(Protocol):
    """An executor whose jobs start sooner if it knows of them before."""

    def expect(self, jobs: int, cwd: str) -> None:
        """Have kernels wait in a folder, where that many jobs may run there soon."""


@runtime_checkable
class Lending(Protocol):
    """An executor that several runs share, and others with it."""

    def lend(self, name: str, make: Callable[[], Executor]) -> Executor:
        """The executor of the target of this name, made once: a run that closes it ends its own jobs only."""


@runtime_checkable
class Hearing(Protocol):
    """An executor that is told when a job ends."""

    def wait(self, seconds: float) -> None:
        """Until it was told something, but no longer than that."""


@runtime_checkable
class Audible(Hearing, Protocol):
    """One that several threads may listen to, if they take turns at everything else."""

    @property
    def channels(self) -> Sequence[socket]:
        """What can be read from where it is told something. Only `wait` may do that."""
