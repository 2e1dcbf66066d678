"""Named places of a run at which a test may kill the process; `nbpipe.store.faults` does it."""

from __future__ import annotations

from nbpipe.store.faults import fault

__all__ = ["POINTS", "RECORDING", "fault"]

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
#: Those that the end of a run under a scheduler passes, as it is recorded.
RECORDING = (
    "run.created",
    "journal.after_write",
    "finish.before_notebook",
    "finish.after_notebook",
    "finish.after_event",
    "recorded.before_mark",
)
