"""The folder of a stage's process, while it runs; what one that was killed left half done is taken back first."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nbpipe.job.folder import SPEC
from nbpipe.run.recovery import take_back

_HELD = ".held"


@contextmanager
def attempt_folder(state: Path) -> Iterator[Path]:
    """A new folder in the project's `state`, gone afterwards; files are first as they were before killed processes.

    It is held by a lock, which ends with this process, however that ends. In a project that cannot be written to it is
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
    folder = Path(tempfile.mkdtemp(prefix="nbpipe-stage-", dir=place)).resolve()
    try:
        with (folder / _HELD).open("wb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def take_back_jobs(folder: Path) -> None:
    """Put back what all jobs in this folder found, the latest first. None of them may be running."""
    jobs = [spec.parent for spec in folder.glob(f"*/jobs/*/{SPEC}")]
    for job in sorted(jobs, key=lambda job: (job / SPEC).stat().st_mtime_ns, reverse=True):
        take_back(job)


def _take_back_abandoned(place: Path) -> None:
    for folder in place.iterdir():
        try:
            with (folder / _HELD).open("rb") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                take_back_jobs(folder)
                shutil.rmtree(folder)
        except (BlockingIOError, FileNotFoundError):
            # Somebody works in it, is just making it, or was faster.
            continue
