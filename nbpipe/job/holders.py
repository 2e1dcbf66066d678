"""Files that other programs are writing while a job runs: the log of the very command, an editor's, a server's."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Collection
from glob import glob
from pathlib import Path

import msgspec

from nbpipe.job.folder import ENDED, HELD, SPEC, UNDO, VERDICT, read_spec
from nbpipe.model import Outcome

#: How the reason ends that a result with such files is not used again.
WHOSE = "who did cannot be told"
_PROC = Path("/proc")
_ACCESS = os.O_WRONLY | os.O_RDWR


def written_elsewhere(paths: Collection[str]) -> set[str]:
    """Those of `paths` that a process outside this one and its children holds open for writing.

    Empty where the system does not tell (there is no /proc); processes of other users are not looked at.
    """
    wanted = {identity(path): path for path in paths}
    wanted.pop(None, None)
    found: set[str] = set()
    if not wanted or not _PROC.is_dir():
        return found
    parents = _parents()
    for pid in parents:
        if not _below(pid, os.getpid(), parents):
            found |= {wanted[identity] for identity in writes(pid) if identity in wanted}
    return found


def identity(path: str) -> tuple[int, int] | None:
    """Device and number of a file; None where there is none."""
    try:
        stat = os.lstat(path)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _parents() -> dict[int, int]:
    """Process -> its parent."""
    found = {}
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            try:
                stat = Path(entry.path, "stat").read_text()
            except OSError:
                continue
            found[int(entry.name)] = int(stat.rsplit(")", 1)[1].split()[1])
    return found


def _below(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    seen = set[int]()
    while pid and pid not in seen:
        if pid == ancestor:
            return True
        seen.add(pid)
        pid = parents.get(pid, 0)
    return False


def writes(pid: int, kind: Callable[[int], bool] = lambda _: True) -> set[tuple[int, int]]:
    """Files, as device and number, that the process may write through a descriptor it holds: those of one kind."""
    found = set[tuple[int, int]]()
    own = f"{_PROC}/{pid}"
    try:
        descriptors = os.listdir(f"{own}/fd")  # noqa: PTH208 - numbers
    except OSError:
        return found
    for number in descriptors:
        try:
            # Of the open file, through the link; most are sockets, and need no second look.
            status = os.stat(f"{own}/fd/{number}")  # noqa: PTH116
            info = Path(f"{own}/fdinfo/{number}").read_text() if kind(status.st_mode) else ""
        except OSError:
            continue
        flags = next((line.split()[1] for line in info.splitlines() if line.startswith("flags:")), "0")
        if int(flags, 8) & _ACCESS:
            found.add((status.st_dev, status.st_ino))
    return found


def has_children() -> bool:
    """Whether this process has any, as Linux lists them for each of its threads; True where it does not."""
    try:
        lists = [task / "children" for task in Path("/proc/self/task").iterdir()]
        return any(one.read_bytes() for one in lists)
    except OSError:
        return True


class Beside:
    """Jobs that ran while the job in this folder did: of its run, or of a scheduler's other stages in the project."""

    def __init__(self, job: Path) -> None:
        began, ended = (job / SPEC).stat().st_mtime, _time(job / VERDICT, math.inf)
        jobs = [folder for folder in job.parent.iterdir() if folder != job]
        attempt = job.parents[2]
        held = (attempt / HELD).exists()
        if held:
            # Unlike that of pathlib, it passes over folders that go meanwhile.
            found = glob(f"*/*/jobs/*/{SPEC}", root_dir=attempt.parent)  # noqa: PTH207
            specs = [attempt.parent / name for name in found]
            jobs += [spec.parent for spec in specs if not spec.is_relative_to(attempt)]
        jobs = [each for each in jobs if 0 < _time(each / SPEC, 0) <= ended]
        self._jobs = [each for each in jobs if _time(each / VERDICT, math.inf) >= began]
        #: Files that hooks saw them write.
        self.written = {path for each in self._jobs for path in written_in(each)}
        # Last: whoever goes meanwhile leaves its names before it takes away the rest.
        ends = [attempt.parent / name / ENDED for name in os.listdir(attempt.parent)] if held else []  # noqa: PTH208
        gone = [file for file in ends if _time(file, 0) >= began]
        self.written.update(path for file in gone for path in json.loads(file.read_text()))
        self._gone = bool(gone)

    def may_have_written(self, paths: Collection[str]) -> bool:
        """Whether one of them may have written one of the paths where no hook sees it: it claims it, or has not told."""
        return self._gone or any(_claims(job, paths) for job in self._jobs)


def uncrowded(outcome: Outcome, job: Path, *, here: bool) -> Outcome:
    """The outcome of a job beside which others ran, once they have told: the files are its own if none of them claims one.

    Else what it used counts as unseen. `here`: it ran on this machine.
    """
    if not outcome.crowded:
        return outcome
    if not here or Beside(job).may_have_written(_claimed(job, [state.path for state in outcome.files_written])):
        return msgspec.structs.replace(outcome, unseen=True)
    # What it read of its own files, it had written.
    made, project = _in_index(job, seen=False), _project(job)
    read = [state for state in outcome.files_read if os.path.join(project, state.path) not in made]  # noqa: PTH118
    reasons = tuple(reason for reason in outcome.uncacheable if not reason.endswith(WHOSE))
    return msgspec.structs.replace(outcome, crowded=False, files_read=tuple(read), uncacheable=reasons)


def written_in(job: Path) -> set[str]:
    """Files that hooks saw a job write, so far."""
    return _in_index(job, seen=True)


def _in_index(job: Path, *, seen: bool) -> set[str]:
    """Files that hooks saw it write, or those that only the scan at its end found."""
    try:
        lines = (job / UNDO / "index.jsonl").read_text().splitlines()
    except OSError:
        return set()
    entries = [json.loads(line) for line in lines if line.endswith("}")]
    return {entry["path"] for entry in entries if ("seen" not in entry) == seen}


def _claimed(job: Path, written: Collection[str]) -> set[str]:
    """Files that a job counts as its own, of those that it left, and that hooks did not see it write.

    Those that were there before are in no list: there is no copy of them.
    """
    project = _project(job)
    left = {os.path.join(project, name) for name in written}  # noqa: PTH118
    return _in_index(job, seen=False) | left - _in_index(job, seen=True)


def _project(job: Path) -> str:
    return os.path.realpath(read_spec(job).project)


def _claims(job: Path, paths: Collection[str]) -> bool:
    """Whether a job that has ended says that it wrote one of the paths; True for one that has begun, and said nothing."""
    try:
        told = json.loads((job / VERDICT).read_bytes())
    except (OSError, ValueError):
        return (job / UNDO).exists()
    written = [state["path"] for state in told.get("files_written", ())]
    return told["status"] not in ("succeeded", "rejected") or not _claimed(job, written).isdisjoint(paths)


def _time(file: Path, without: float) -> float:
    """When it was written; `without` where there is no such file, or no longer."""
    try:
        return file.stat().st_mtime
    except OSError:
        return without
