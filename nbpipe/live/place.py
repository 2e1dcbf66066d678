"""Where the stage cells of a kernel run: as they say themselves, else as `%nbpipe on TARGET` has said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nbpipe.errors import UsageError
from nbpipe.live.command import notebook_path
from nbpipe.run.project import find_project

if TYPE_CHECKING:
    from nbpipe.live.session import Session
    from nbpipe.notebook.grammar import MagicLine

LOCAL = "local"


def place_of(said: MagicLine, default: str) -> str:
    """The target on which a cell with this line runs; "local" is its own kernel. Checks go where they say, if they do."""
    if said.role not in ("stage", "check"):
        return LOCAL
    return said.options.on or (default if said.role == "stage" else LOCAL)


def runs_here(said: MagicLine, default: str) -> bool:
    """Whether a cell runs in its own kernel. One of several processes never does: it is a job, on this machine or another."""
    return place_of(said, default) == LOCAL and not (said.role in ("stage", "check") and said.options.nproc)


def on_verb(session: Session, words: list[str]) -> str:
    """`%nbpipe on TARGET`: stage cells without `--on` run there from now on. Without a name: where they run."""
    if not words:
        return f"stage cells run on {session.place}"
    if len(words) > 1:
        raise UsageError("%nbpipe on takes one target", fix="Write, say, %nbpipe on gpu, or %nbpipe on local.")
    if words[0] != LOCAL:
        from nbpipe.run.fleets import targets_of
        from nbpipe.targets.settings import target_named

        path = notebook_path(session.shell.user_ns)
        target_named(targets_of(find_project(Path(path) if path else Path())), words[0])
    session.place = words[0]
    return f"stage cells run on {session.place}"
