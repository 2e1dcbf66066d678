"""Asking the process that drives a run to stop it."""

from __future__ import annotations

import os
import signal
import time

from nbpipe.errors import UsageError
from nbpipe.run import record as records
from nbpipe.run.journal import JOURNAL, read
from nbpipe.run.project import Project
from nbpipe.run.state import replay


def ask_to_stop(project: Project, run: str, *, force: bool = False) -> bool:
    """Signal the driver of a run (an id); False where nobody drives it. Does not wait for the end.

    `force` kills the stages that run instead of asking them. Raises UsageError for a run that is not there, or that
    belongs to another user.
    """
    folder = project.run_folder(run)
    record = records.read(folder)
    if record is None or not records.is_alive(record) or replay(read(folder / JOURNAL)).status != "running":
        return False
    # The process is the one the run recorded: its start time was compared, a later process never gets the signal.
    try:
        os.kill(record.pid, signal.SIGTERM)
        if force:
            # The driver takes the second signal as "kill"; it must have seen the first.
            time.sleep(0.2)
            os.kill(record.pid, signal.SIGINT)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise UsageError(f"{record.id} belongs to another user", name=record.id) from error
    return True
