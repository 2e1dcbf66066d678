"""Named places at which a test may kill the process. Nothing happens anywhere else."""

from __future__ import annotations

import os
import signal

#: Every named place, in the order in which a run passes them.
POINTS = (
    "run.created",
    "journal.after_write",
    "attempt.before_spec",
    "attempt.after_spec",
    "attempt.after_submit",
    "commit.before_trace",
    "commit.after_trace",
    "commit.after_event",
    "restore.before_file",
    "restore.after_file",
    "finish.before_notebook",
    "finish.after_notebook",
    "finish.after_event",
)
_passed: dict[str, int] = {}


def fault(name: str) -> None:
    """Kill this process with SIGKILL if `NBPIPE_FAULT=name:N` asks for it at the Nth passage (1 is the first)."""
    wanted = os.environ.get("NBPIPE_FAULT")
    if not wanted:
        return
    point, _, count = wanted.partition(":")
    if point != name:
        return
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] == int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
