"""Takes back what a job wrote, from the copies that it took before it first wrote each file."""

from __future__ import annotations

import contextlib
import filecmp
import itertools
import json
import shutil
from pathlib import Path

from nbpipe.job.folder import UNDO
from nbpipe.job.folders import changed_folders


def undo(job: Path, *, seen: bool = False, since: int | None = None) -> list[str]:
    """Put back every file that the job in this folder wrote, and take away those that it made; folders, too. Safe to repeat.

    Files that came while it ran, and that it was not seen to write, may be somebody else's: they are put aside in its
    folder, and what is said of them is returned. `seen`: they stay where they are. `since`: so are files that changed
    later than that, in ns: the job had ended, and they are somebody else's.
    """
    told = list[str]()
    index = job / UNDO / "index.jsonl"
    for line in index.read_text().splitlines() if index.exists() else ():
        entry = json.loads(line)
        if seen and "seen" in entry:
            continue
        path, copy = Path(entry["path"]), job / UNDO / entry["copy"] if entry["copy"] else None
        if since is not None and _changed_since(path, since) and not (copy and filecmp.cmp(path, copy, shallow=False)):
            aside = _put_aside(job, path)
            told.append(
                f"{path.name} changed after the last sign of the stage that wrote it, which was interrupted: "
                f"that is put aside, in {aside}"
            )
        if copy and path.is_dir():
            told.append(f"{path.name} is a folder now: what the file held before the stage is in {copy}")
        elif copy:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.undo")
            shutil.copy2(copy, temporary)
            temporary.replace(path)
        elif "seen" in entry and path.is_file():
            aside = _put_aside(job, path)
            told.append(f"{path.name} came while the stage ran, whose work is taken back: it is put aside, in {aside}")
        elif not path.is_dir():
            path.unlink(missing_ok=True)
    # The innermost first: what somebody else has put into one stays, and so does the folder.
    for name, there, _ in sorted(changed_folders(job), reverse=True):
        if there:
            Path(name).mkdir(parents=True, exist_ok=True)
        else:
            with contextlib.suppress(OSError):
                Path(name).rmdir()
    return told


def _changed_since(path: Path, when: int) -> bool:
    # Not when it was written: what is moved or copied to this place may be older.
    return path.is_file() and path.lstat().st_ctime_ns > when


def _put_aside(job: Path, path: Path) -> Path:
    aside = _free(job / UNDO / "aside" / path.name)
    shutil.move(path, aside)
    return aside


def _free(path: Path) -> Path:
    """The path, with a number where there is a file of that name."""
    path.parent.mkdir(exist_ok=True)
    names = (path.with_stem(f"{path.stem}-{number}") if number else path for number in itertools.count())
    return next(name for name in names if not name.exists())
