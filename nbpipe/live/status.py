"""`%nbpipe status`: which variables of this kernel are stale and why, and how recording is doing."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nbpipe.errors import UsageError
from nbpipe.live.command import notebook_path
from nbpipe.live.evidence import defined_in
from nbpipe.live.facts import look
from nbpipe.live.present import present
from nbpipe.live.reasons import Now, Reason
from nbpipe.live.staleness import StageStatus, judge
from nbpipe.run.project import find_project

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nbpipe.errors import PipelineError
    from nbpipe.live.executions import Execution
    from nbpipe.live.session import Session
    from nbpipe.model import Pipeline

#: Seconds that a look waits for what the recorder has not seen yet.
_WAIT = 2.0
_MARKS = {"fresh": "✓", "stale": "⟳", "not run": "○", "running": "●", "failed": "✗", "unknown": "?"}


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The stages of a notebook as one kernel has them. `msgspec.json.encode` writes it for front-ends."""

    schema: int = 1
    #: Path of the notebook; "" where the front-end does not tell it.
    notebook: str = ""
    #: When it was last saved, seconds since the epoch: edits after that are not seen. None where an editor told its content.
    saved: float | None = None
    stages: tuple[StageStatus, ...] = ()
    #: Stages to run, in notebook order, so that all are fresh.
    run: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def status_of(
    session: Session, path: Path | None = None, *, content: bytes | None = None, wait: float = _WAIT
) -> Status:
    """The status of the kernel, against the notebook at `path`, or the one it serves. Runs no code of the user's.

    `content`: that notebook as it stands in an editor, nbformat's JSON; without it, the file as it was saved.
    `wait`: seconds, at most, for what the recorder has not seen yet.
    """
    recording = session.recording
    recording.recorder.drain(wait)
    told = notebook_path(session.shell.user_ns)
    path = path or (Path(told) if told else None)
    executions = recording.executions.all()
    found = present(path, executions, Path.cwd(), content)
    stages: tuple[StageStatus, ...] = ()
    if found.pipeline is not None:
        now = Now(
            facts=look(session.shell.user_ns, _names(found.pipeline)),
            modules=recording.loaded.digests(find_project(path or Path()).root),
            forgotten=recording.executions.forgotten,
        )
        stages = judge(found.pipeline, executions, now)
    stages += tuple(_broken(name, found.broken, executions) for name in found.broken)
    stages = tuple(sorted(stages, key=lambda item: item.cells[:1]))
    wanted = {name for item in stages for name in item.run}
    return Status(
        notebook=str(path or ""),
        saved=path.stat().st_mtime if content is None and path is not None and path.exists() else None,
        stages=stages,
        run=tuple(item.stage for item in stages if item.stage in wanted),
        notes=(*found.notes, *_recording(session)),
    )


def status(path: str | Path | None = None) -> Status:
    """The status of the kernel that this is called in. Raises `UsageError` where nbpipe is not loaded in one."""
    # Where IPython was not imported, this is no kernel.
    core = sys.modules.get("IPython.core.getipython")
    shell = core.get_ipython() if core is not None else None
    session = getattr(shell, "nbpipe_session", None)
    if session is None:
        raise UsageError("nbpipe is not loaded in this kernel", fix="Run %load_ext nbpipe in the first cell.")
    return status_of(session, Path(path) if path is not None else None)


def status_verb(session: Session, words: list[str]) -> str:
    """What `%nbpipe status [--json]` prints."""
    if words not in ([], ["--json"]):
        said = " ".join(words)[:40]
        raise UsageError(
            f"%nbpipe status does not understand {said!r}", fix="Write %nbpipe status, or %nbpipe status --json"
        )
    found = status_of(session)
    if words:
        return msgspec.json.encode(found).decode()
    lines = []
    width = max((len(item.stage) for item in found.stages), default=0)
    for item in found.stages:
        texts = [reason.text for reason in item.reasons] or [""]
        head = f"{item.stage:<{width}}  {_MARKS[item.state]} {item.state:<8}"
        lines.append(f"{head} {texts[0]}".rstrip())
        lines += [f"{'':<{width}}             {text}" for text in texts[1:]]
    if not found.stages and not found.notes:
        lines.append("no stages have run here yet")
    if found.run:
        lines.append(f"run: {', '.join(found.run)}")
    if found.saved is not None:
        lines.append(f"the notebook as it was saved at {time.strftime('%H:%M:%S', time.localtime(found.saved))}")
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes)])


def _names(pipeline: Pipeline) -> set[str]:
    return {name for stage in pipeline.stages for name in (*stage.flow.inputs, *stage.flow.params)}


def _broken(name: str, broken: Mapping[str, PipelineError], executions: Sequence[Execution]) -> StageStatus:
    """A stage of which the notebook as it is can make nothing: mostly a cell it needs was deleted."""
    runs = [cell for cell in executions if cell.name == name and cell.role in ("stage", "check")]
    error = broken[name]
    return StageStatus(
        stage=name,
        kind="check" if runs and runs[-1].role == "check" else "stage",
        state="stale" if runs else "not run",
        reasons=(_why_broken(error, broken, executions),),
        cells=(error.cell,) if error.cell is not None else (),
        started=runs[-1].started if runs else None,
        seconds=runs[-1].seconds if runs else None,
    )


def _why_broken(error: PipelineError, broken: Mapping[str, PipelineError], executions: Sequence[Execution]) -> Reason:
    missing = error.name if error.code == "undefined-name" else None
    if missing is None:
        return Reason(kind="code", text=error.message, name=error.name or "")
    givers = (cell for cell in reversed(executions) if missing in defined_in(cell.body) and cell.name != error.stage)
    giver = next(givers, None)
    if giver is None or giver.role not in ("stage", "check"):
        return Reason(kind="deleted", text=error.message, name=missing)
    if giver.name in broken:
        return Reason(kind="upstream", text=f"'{giver.name}' above it is stale", name=giver.name)
    return Reason(
        kind="deleted", text=f"'{missing}' came from '{giver.name}', which is no longer in the notebook", name=missing
    )


def _recording(session: Session) -> list[str]:
    """How recording is doing, where there is something to say."""
    recorder = session.recording.recorder
    said = []
    if not session.recording.on:
        said.append("trials are not recorded: they are switched off")
    if recorder.failed:
        said.append(f"{_trials(recorder.failed)} could not be recorded: {recorder.trouble}")
    if recorder.dropped:
        said.append(f"{_trials(recorder.dropped)} left out: cells ended faster than they can be written")
    return said


def _trials(number: int) -> str:
    return "1 trial" if number == 1 else f"{number} trials"
