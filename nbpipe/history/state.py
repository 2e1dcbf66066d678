"""The state of a run as its journal tells it, to somebody who can see whether its process lives."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nbpipe.history.alive import Alive
from nbpipe.run.journal import JOURNAL, read
from nbpipe.run.state import RunState, replay


def run_state(folder: Path, alive: Alive) -> RunState:
    """What the journal says; a run without an end that nobody drives is interrupted."""
    state = replay(read(folder / JOURNAL))
    if state.status != "running" or alive(folder):
        return state
    # It may have ended between the two looks.
    state = replay(read(folder / JOURNAL))
    return ended(state) if state.status == "running" else state


def ended(state: RunState) -> RunState:
    """The same run, told by somebody who knows that nobody works on it any more."""
    stages = tuple(
        msgspec.structs.replace(stage, status="cancelled") if stage.status == "running" else stage
        for stage in state.stages
    )
    return msgspec.structs.replace(state, status="interrupted", stages=stages)
