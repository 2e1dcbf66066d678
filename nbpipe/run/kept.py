"""Kernels that targets keep of failed stages: which stage left one, and whether it may go on as the notebook is now."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from nbpipe.errors import SecretError
from nbpipe.job.folder import KEPT, read_spec, write_durably
from nbpipe.job.kept import Kept, mark
from nbpipe.model import JobSpec
from nbpipe.plan.key import NOTE
from nbpipe.plan.resolve import Wanted
from nbpipe.run.attempt import WANTED
from nbpipe.store.trust import Signer
from nbpipe.targets.settings import Target

_FOLDER = Path(".nbpipe") / "kept"
#: In place of a key: somebody ends the kernel now.
ENDING = "ending"
#: Parts of a key that only say what is made of the results.
_AFTER = ("metric:", "option:metrics", "option:thresholds", "option:model")
#: Of a job: what its kernel was started with.
_SAME = (
    "kind", "cwd", "project", "source", "store", "params", "seed", "dynamic", "gpus", "cpus", "memory", "image", "nproc",
    "env", "secrets", "kernel", "distributions",
)  # fmt: skip


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that left a kernel: the notebook and stage, the target that keeps it, the attempt's folder.

    `going` is the key for which somebody goes on in it, "" while it waits, `ENDING` while it is being ended. `on` is
    the target that its run was told, "" where the stage names it itself.
    """

    schema: int = 1
    pipeline: str
    stage: str
    target: str
    folder: str
    going: str = ""
    on: str = ""

    @property
    def kept(self) -> Kept | None:
        """What is known of it; None where somebody removed that."""
        try:
            return msgspec.json.decode((Path(self.folder) / KEPT).read_bytes(), type=Kept)
        except (OSError, msgspec.MsgspecError):
            return None

    @property
    def job(self) -> str:
        """What the target calls it; "" where that is not known any more."""
        found = self.kept
        return found.job if found is not None else ""


def remember(project: Path, left: Left) -> Left | None:
    """Note that this attempt has left a kernel, if it has: of each stage and target the latest counts.

    The note of another kernel that this one takes the place of: whoever asks for it has to see that it ends.
    """
    if left.kept is None:
        return None
    with _alone(project):
        before = _noted(project, left)
        _write(project, left)
    return before if before is not None and before.job not in ("", left.job) else None


def change(project: Path, left: Left, going: str) -> bool:
    """Note who goes on in it; False where the note is another one by now: of several who try at once, one can."""
    with _alone(project):
        if _noted(project, left) != left:
            return False
        _write(project, msgspec.structs.replace(left, going=going))
        return True


def recall(project: Path, pipeline: str, stage: str, target: str) -> Left | None:
    """The attempt of this stage that left a kernel there last; it may go on just now, or its time may be over."""
    left = _read(_path(project, pipeline, stage, target))
    return left if left is not None and left.kept is not None else None


def left_in(project: Path, jobs: Path) -> list[Left]:
    """What the attempts below this folder have left, as far as that is still there."""
    return [left for left in _all(project) if Path(left.folder).parent == jobs and left.kept is not None]


def any_left(project: Path) -> bool:
    """Whether any stage of the project has left a kernel, however long ago."""
    return any((project / _FOLDER).glob("*.json"))


def forget(project: Path, left: Left) -> None:
    """It has ended, or nobody goes on in it any more. A note of another kernel stays."""
    with _alone(project):
        noted = _noted(project, left)
        if noted is not None and (noted.folder, noted.going) == (left.folder, left.going):
            _path(project, left.pipeline, left.stage, left.target).unlink(missing_ok=True)


def forget_all(project: Path, target: str, jobs: Collection[str]) -> None:
    """Note that a target has ended the kernels of these jobs; others may wait there still."""
    for left in _all(project):
        if left.target == target and left.going in ("", ENDING) and (left.kept is None or left.job in jobs):
            forget(project, left)


def _all(project: Path) -> list[Left]:
    found = [_read(path) for path in sorted((project / _FOLDER).glob("*.json"))]
    return [left for left in found if left is not None]


def _noted(project: Path, left: Left) -> Left | None:
    return _read(_path(project, left.pipeline, left.stage, left.target))


def _read(path: Path) -> Left | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Left)
    except (OSError, msgspec.MsgspecError):
        return None


def _write(project: Path, left: Left) -> None:
    write_durably(_path(project, left.pipeline, left.stage, left.target), msgspec.json.encode(left))


@contextmanager
def _alone(project: Path) -> Iterator[None]:
    """While nobody else changes a note."""
    folder = project / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _path(project: Path, pipeline: str, stage: str, target: str) -> Path:
    return project / _FOLDER / f"{blake3(f'{pipeline} {stage} {target}'.encode()).hexdigest()[:32]}.json"


def differs(left: Left, spec: JobSpec, wanted: Wanted, target: Target, digest: Callable[[str], str]) -> str:
    """Why the stage cannot go on in the kernel that was kept, "" where it can: all up to the failed cell is the same.

    `digest` is of a path of the project, as it is now.
    """
    kept = left.kept
    try:
        old = read_spec(Path(left.folder))
        before: dict[str, str] = msgspec.json.decode((Path(left.folder) / WANTED).read_bytes())["parts"]
    except (OSError, msgspec.MsgspecError, LookupError):
        return "the attempt that failed is no longer known"
    if kept is None or kept.target != target.fingerprint:
        return f"the settings of target '{target.name}' were edited"
    if kept.until < time.time():
        return "the kernel was kept no longer than its target says"
    if [code.cell for code in old.cells[: kept.index]] != [code.cell for code in spec.cells[: kept.index]]:
        return "cells above it were moved"
    if len(spec.cells) <= kept.index:
        return "the cell that failed is gone"
    other = _other(_standing(before, kept.index), _standing(wanted.parts, kept.index))
    if other:
        return f"{other} is not what it was"
    for name in _SAME:
        if getattr(old, name) != getattr(spec, name):
            return f"{name} is not what it was"
    if _digests(old.ambient) != _digests(spec.ambient):
        return "the state that the stages above leave is not what it was"
    seen = {path: found for path, found in kept.looked.items() if not Path(path).is_absolute()}
    edited = next((path for path, found in seen.items() if digest(path) != found), "")
    return f"{edited} is not what it was" if edited else ""


def other_secrets(kept: Kept, spec: JobSpec, signer: Signer) -> str:
    """The same, of the values of secrets: a kernel has those that it was started with. `signer` is of who keeps it."""
    with contextlib.suppress(SecretError):
        if kept.secrets == mark(spec.secrets, os.environ, signer):
            return ""
    return "the value of a secret is not what it was"


def _standing(parts: Mapping[str, str], index: int) -> dict[str, str]:
    """The parts of a key that the first `index` cells rest on."""

    def counts(label: str) -> bool:
        kind, _, number = label.partition(":")
        return not label.startswith((NOTE, *_AFTER)) and not (kind == "code" and int(number) > index)

    return {label: text for label, text in parts.items() if counts(label)}


def _other(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    return next((label for label in sorted({*before, *now}) if before.get(label) != now.get(label)), "")


def _digests(given: Mapping[str, Any]) -> dict[str, str]:
    return {name: artifact.digest for name, artifact in given.items()}
