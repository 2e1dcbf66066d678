"""The folder of a stage's process, while it runs; what one that was killed left half done is taken back first."""

from __future__ import annotations

import fcntl
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nbpipe.job.folder import ENDED, HELD, SPEC, write_durably
from nbpipe.job.holders import written_in
from nbpipe.run.recovery import take_back


@contextmanager
def attempt_folder(state: Path) -> Iterator[Path]:
    """A new folder in the project's `state`, gone afterwards; files are first as they were before killed processes.

    It is held by a lock, which ends with this process, however that ends. Stages that run beside it are told what it
    wrote; so what is left of it stays as long as one of those does. In a project that cannot be written to it is
    a temporary folder: there is nothing to take back.
    """
    place: Path | None = state / "attempts"
    try:
        (state / "attempts").mkdir(parents=True, exist_ok=True)
        (state / ".gitignore").write_text("*\n")
    except OSError:
        place = None
    if place is not None:
        _take_back_abandoned(place)
    folder, handle = _held(place)
    try:
        with handle:
            try:
                yield folder
            finally:
                if place is not None:
                    _leave(folder)
    finally:
        if place is None:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            _take_back_abandoned(place)


def _held(place: Path | None) -> tuple[Path, BinaryIO]:
    """A new folder, and its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix="nbpipe-stage-", dir=place)).resolve()
        handle = (folder / HELD).open("wb")
        fcntl.flock(handle, fcntl.LOCK_EX)
        if folder.exists():
            return folder, handle
        # Before it was locked, somebody took it for one that a killed process left.
        handle.close()


def take_back_jobs(folder: Path) -> None:
    """Put back what all jobs in this folder found, the latest first. None of them may be running."""
    jobs = [spec.parent for spec in folder.glob(f"*/jobs/*/{SPEC}")]
    for job in sorted(jobs, key=lambda job: (job / SPEC).stat().st_mtime_ns, reverse=True):
        take_back(job)


def _leave(folder: Path) -> None:
    """Leave nothing but the names of the files that were written."""
    written = {path for spec in folder.glob(f"*/jobs/*/{SPEC}") for path in written_in(spec.parent)}
    write_durably(folder / ENDED, json.dumps(sorted(written)).encode())
    for item in folder.iterdir():
        if item.is_dir():
            shutil.rmtree(item, ignore_errors=True)


def _take_back_abandoned(place: Path) -> None:
    """Undo what killed processes left half done; forget those that ended before everything that runs now began."""
    ended = []
    for folder in place.iterdir():
        try:
            with (folder / HELD).open("rb") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if (folder / ENDED).exists():
                    ended.append(folder)
                else:
                    take_back_jobs(folder)
                    shutil.rmtree(folder)
        except BlockingIOError:
            continue
        except FileNotFoundError:
            # Somebody is just making it, or was faster.
            continue
    # Looked at anew: one that began meanwhile may have run beside one that has ended since.
    held = [folder for folder in place.iterdir() if folder not in ended]
    oldest = min((_time(folder / HELD) for folder in held), default=float("inf"))
    for folder in ended:
        if _time(folder / ENDED) < oldest:
            shutil.rmtree(folder, ignore_errors=True)


def _time(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
