"""`nbpipe.checkpoint_dir()`: a folder that outlives a failed attempt, so that the next one need not begin anew."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

#: Set in a job: the folder of its stage.
FOLDER = "NBPIPE_CHECKPOINTS"
#: Where it is outside of a job, in the working directory.
LIVE = Path(".nbpipe") / "checkpoints" / "live"


def checkpoint_dir() -> Path:
    """The folder in which a stage keeps what it needs to go on after a failure, a lost worker or a preemption.

    It is the stage's own, for one key: the same code, parameters and inputs. Empty at first, kept while attempts fail,
    removed when one succeeds, or when a file that was read has changed. Write a checkpoint to a temporary name, then rename
    it. In a notebook's own kernel it is a folder of the stage's name below the working directory, gone when its cell succeeds.
    """
    folder = Path(os.environ.get(FOLDER) or LIVE / _stage()).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _stage() -> str:
    """The stage whose cell runs in this kernel; "code" for any other."""
    core: Any = sys.modules.get("IPython.core.getipython")
    session = getattr(core.get_ipython() if core is not None else None, "nbpipe_session", None)
    cell = session.recording.running() if session is not None else None
    return str(cell.name) if cell is not None and cell.name else "code"
