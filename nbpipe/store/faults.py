"""Named places at which a test may kill the process. Nothing happens anywhere else."""

from __future__ import annotations

import os
import signal

#: Every named place of the store, in the order in which a write passes them: an object's or a document's.
POINTS = (
    "store.opened",
    "store.written",
    "store.synced",
    "store.renamed",
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
