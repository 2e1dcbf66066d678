"""`%nbpipe trials` and `%nbpipe restore`: what was tried in this notebook, and back to it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbpipe.errors import UsageError
from nbpipe.history.trials import Trial, load_trial, trials
from nbpipe.live.command import notebook_path
from nbpipe.run.project import Project, find_project

if TYPE_CHECKING:
    from nbpipe.live.session import Session

_SHOWN = 20
#: Seconds that a look at the trials waits for the last ones to be written.
_WAIT = 2.0


def project_at(names: dict[str, Any] | None = None) -> Project:
    """The project of the notebook this kernel serves, else of the current folder."""
    path = notebook_path(names or {})
    return find_project(Path(path) if path else Path())


def trial(name: str = "latest") -> Trial:
    """The trial `t12` of the project at hand; its `source` is the cell as it ran. Raises `UsageError`."""
    return load_trial(project_at(), name)


def trials_verb(session: Session, words: list[str]) -> str:
    """What `%nbpipe trials [STAGE | on | off]` prints."""
    if words[:1] in (["on"], ["off"]):
        session.recording.on = words == ["on"]
        return f"trials are {'recorded' if session.recording.on else 'not recorded'} in this kernel"
    session.recording.recorder.drain(_WAIT)
    found = trials(project_at(session.shell.user_ns), stage=words[0] if words else None, limit=_SHOWN)
    if not found:
        return f"no trials of {words[0]!r} yet" if words else "no trials yet: each %%stage cell that runs is one"
    return "\n".join(_row(item) for item in found)


def restore_verb(session: Session, words: list[str]) -> str:
    """`%nbpipe restore t12`: put the code of that trial into a new cell below."""
    if len(words) != 1:
        raise UsageError("%nbpipe restore takes one trial", fix="Write, say, %nbpipe restore t12")
    session.recording.recorder.drain(_WAIT)
    found = load_trial(project_at(session.shell.user_ns), words[0])
    session.shell.set_next_input(found.source, replace=False)
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.started))
    return f"{found.id}: '{found.stage}' as it ran on {when} stands in the next cell"


def _row(item: Trial) -> str:
    when = time.strftime("%m-%d %H:%M:%S", time.localtime(item.started))
    said = [f"{name}={value}" for name, value in item.params.items()]
    said += [f"{name} {value:.4g}" for name, value in item.metrics.items()]
    if item.error is not None:
        said.append(f"{item.error.ename}: {item.error.evalue}"[:80])
    return f"{item.id:<6} {item.stage:<16} {item.status:<10} {when}  {item.seconds:8.3f} s  {'  '.join(said)}".rstrip()
