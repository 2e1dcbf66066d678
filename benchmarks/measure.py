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


def until_printed(argv: Sequence[str], cwd: Path, line: str, **more: str) -> float:
    """Seconds from the start of a command until it has printed `line` among other words; then it goes on to its end.

    Raises CalledProcessError if it fails or never prints it, with its output.
    """
    said = ""
    start = time.perf_counter()
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env=os.environ | more,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as child:
        assert child.stdout is not None  # noqa: S101 - asked for above
        took = -1.0
        for text in child.stdout:
            said += text
            if took < 0 and line in text:
                took = time.perf_counter() - start
    if child.returncode or took < 0:
        raise subprocess.CalledProcessError(child.returncode, argv, said)
    return took


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


def table_of(figures: Sequence[Figure]) -> str:
    """Markdown; the first figure is what the others are compared with. One without a measurement says so."""
    base = figures[0].median if figures[0].seconds else 0.0
    rows = [f"| {figure.what} | {_measured(figure, base)} | {figure.extra} |" for figure in figures]
    return "| what | seconds | ratio to the first line | |\n|---|---|---|---|\n" + "\n".join(rows)


def _measured(figure: Figure, base: float) -> str:
    if not figure.seconds:
        return "not measured |"
    spread = f"({_places(figure.fastest)} to {_places(figure.slowest)})"
    return f"{_places(figure.median)} {spread} | " + (f"{figure.median / base:.2f}" if base else "")


def _places(seconds: float) -> str:
    """Hundredths; four places of less than a tenth of a second, six of less than a hundredth: goals are held against them."""
    places = 2 if abs(seconds) >= 0.1 else 4 if abs(seconds) >= 0.01 else 6  # noqa: PLR2004 - as said
    return f"{seconds:.{places}f}"
