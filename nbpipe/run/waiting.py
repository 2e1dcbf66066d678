"""Kernels that targets keep of failed stages, for people: until when, with what, how to go on in one, how to end it."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import msgspec

from nbpipe.errors import UsageError
from nbpipe.run import kept
from nbpipe.run.project import Project
from nbpipe.run.state import RunState


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """The kernel of a failed stage that waits at `target`, as far as is known here: nobody is asked."""

    target: str
    #: Number of the cell that failed.
    cell: int
    #: Seconds since the epoch.
    until: float
    #: Bytes that its processes held as it began to wait; 0 where nobody said.
    memory: int
    gpus: tuple[str, ...]
    #: What a run has to be asked for to go on there, in the words of `POST runs`.
    start: dict[str, Any]


def waiting(project: Project, state: RunState, stage: str) -> Waiting | None:
    """The kernel that this stage of a run has left; None where it left none, or nobody can go on in it any more."""
    left = _left(project, state, stage)
    found = left.kept if left is not None else None
    if left is None or found is None or left.going or found.until < time.time():
        return None
    from nbpipe.run import record as records

    record = records.read(project.run_folder(state.id))
    start: dict[str, Any] = {"continue": True}
    start |= {"on": left.on} if left.on else {}
    start |= {"params_from": state.id} if state.given else {}
    start |= {"seed": record.seed} if record is not None and record.seed else {}
    return Waiting(
        target=left.target, cell=found.cell, until=found.until, memory=found.memory, gpus=found.gpus, start=start
    )


def release(project: Project, state: RunState, stage: str) -> bool:
    """End the kernel that this stage of a run has left; False where it had ended before.

    Nobody can go on in it meanwhile. Raises UsageError where there is none to be ended, TargetError where its target
    cannot be reached.
    """
    left = _left(project, state, stage)
    found = left.kept if left is not None else None
    if left is None or found is None or not kept.change(project.root, left, kept.ENDING):
        raise UsageError(
            f"no kernel of stage '{stage}' of {state.id} waits",
            name=stage,
            fix="It has ended, or another run goes on in it.",
        )
    from nbpipe.run.fleets import asked, targets_of
    from nbpipe.targets.settings import target_named

    ending = msgspec.structs.replace(left, going=kept.ENDING)
    try:
        with contextlib.closing(asked(target_named(targets_of(project), left.target))) as there:
            ended: list[str] = there.release(found.job, found.host)  # type: ignore[union-attr]
    except BaseException:
        kept.change(project.root, ending, "")
        raise
    kept.forget(project.root, ending)
    return bool(ended)


def _left(project: Project, state: RunState, stage: str) -> kept.Left | None:
    """The attempt of this very run that left a kernel in which nobody goes on; it may be ending."""
    jobs = (project.run_folder(state.id) / "jobs").resolve()
    found = (left for left in kept.left_in(project.root, jobs) if (left.pipeline, left.stage) == (state.name, stage))
    return next((left for left in found if left.going in ("", kept.ENDING)), None)
