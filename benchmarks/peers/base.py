"""What a tool must say of itself to be measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.steps import Steps


@dataclass(frozen=True)
class Peer:
    """A tool, how a pipeline is written for it, and the command that runs it.

    `write(folder, steps)` writes or rewrites the definition; `command(bin, k)` is what a user types there, with `bin` the
    folder of the tool's own programs.
    """

    name: str
    packages: tuple[str, ...]
    write: Callable[[Path, Steps], None]
    command: Callable[[Path, int], list[str]]
    #: What a reader should know of the comparison.
    note: str = ""
    #: Run once in a new folder, not measured.
    prepare: tuple[str, ...] = ()


def put(folder: Path, name: str, text: str) -> None:
    """Write a file, and leave one alone that says the same: several tools look at the times of files."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
