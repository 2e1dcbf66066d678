"""Time and peak memory of whole commands."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Figure:
    """What was measured, in seconds; `extra` is shown as it is."""

    what: str
    seconds: list[float] = field(default_factory=list)
    extra: str = ""

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    @property
    def fastest(self) -> float:
        """Seconds."""
        return min(self.seconds)

    @property
    def slowest(self) -> float:
        """Seconds."""
        return max(self.seconds)


def command(argv: Sequence[str], cwd: Path, **more: str) -> float:
    """Seconds that a command takes from start to exit; `more` are environment variables.

    Raises CalledProcessError if it fails, with its output.
    """
    start = time.perf_counter()
    printed(argv, cwd, **more)
    return time.perf_counter() - start


def printed(argv: Sequence[str], cwd: Path, **more: str) -> str:
    """What a command prints on standard output; `more` are environment variables.

    Raises CalledProcessError if it fails, with its output.
    """
    # Runs are delivered to MLflow in the background, where they would take time from the next measurement.
    env = os.environ | {"NBPIPE_TRACKING": "off", "NBPIPE_KEEP_WARM": "5m"} | more
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, argv, done.stdout, done.stderr)
    return done.stdout


def repeat(what: str, times: int, prepare: Callable[[], object], measure: Callable[[], float]) -> Figure:
    """`prepare` is not timed; `measure` returns seconds."""
    figure = Figure(what)
    for _ in range(times):
        prepare()
        figure.seconds.append(measure())
    return figure


def peak_of_children() -> float:
    """GiB: the largest resident size that any finished child process of this one has had."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20


@dataclass(frozen=True)
class Section:
    """A part of the page whose table is written already."""

    title: str
    note: str
    table: str
