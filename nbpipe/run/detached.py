"""Runs in a process of their own, which outlives whoever starts them: a terminal, a kernel, the lab's server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nbpipe.errors import StoreError
from nbpipe.run.journal import JOURNAL, forget_unborn
from nbpipe.run.project import Project
from nbpipe.run.warmth import WAITED_FOR

#: Where the process writes what it would have shown.
OUTPUT = "driver.log"
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Detached:
    """A run that was started; or, where `code` is not None, one that never began: its folder is gone then.

    The code is 0 where an earlier run has everything already.
    """

    run: str
    folder: Path
    process: subprocess.Popen[bytes]
    code: int | None = None
    #: What the process said, if the run never began.
    said: str = ""


def start_detached(project: Project, words: Sequence[str]) -> Detached:
    """Start `nbpipe WORDS --run-id RUN`, where the words begin with `run`. Returns once the run has begun, or the process has ended.

    Raises StoreError where the process failed and could not say why, OSError where the disk takes no folder of the run.
    The process has a session of its own and inherits no pipe: it goes on when the caller ends, however it ends.
    """
    run = project.new_run()
    folder = project.runs / run
    # Not the folder one happens to be in: a file `click.py` there is nobody's library.
    safe = ["-P"] if sys.version_info >= (3, 11) else []
    with (folder / OUTPUT).open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, *safe, "-m", "nbpipe.cli.main", *words, "--run-id", run],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, WAITED_FOR: "1"},
        )
    journal = folder / JOURNAL
    until = time.monotonic() + _PATIENCE
    while child.poll() is None and not _begun(journal) and time.monotonic() < until:
        time.sleep(0.02)
    if child.returncode is None or _begun(journal):
        return Detached(run, folder, child)
    said = (folder / OUTPUT).read_text(errors="replace")
    (folder / OUTPUT).unlink(missing_ok=True)
    forget_unborn(folder)
    if child.returncode and not said.strip():
        # What it said goes to the same disk.
        raise StoreError(
            f"the run ended before it began, with exit code {child.returncode}, and could not write why to {folder}",
            name=run,
            fix="See whether the disk is full: nbpipe doctor",
        )
    return Detached(run, folder, child, code=child.returncode, said=said)


def _begun(journal: Path) -> bool:
    return journal.is_file() and journal.stat().st_size > 0
