"""Takes back what a job wrote, from the copies that it took before it first wrote each file."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from pathlib import Path

from nbpipe.job.folder import UNDO
from nbpipe.job.folders import changed_folders


def undo(job: Path, *, seen: bool = False) -> list[str]:
    """Put back every file that the job in this folder wrote, and take away those that it made; folders, too. Safe to repeat.

    Files that came while it ran, and that it was not seen to write, may be somebody else's: they are put aside in its
    folder, and what is said of them is returned. `seen`: they stay where they are.
    """
    told = list[str]()
    index = job / UNDO / "index.jsonl"
    for line in index.read_text().splitlines() if index.exists() else ():
        entry = json.loads(line)
        if seen and "seen" in entry:
            continue
        path = Path(entry["path"])
        if entry["copy"]:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.undo")
            shutil.copy2(job / UNDO / entry["copy"], temporary)
            temporary.replace(path)
        elif "seen" in entry and path.is_file():
            aside = _free(job / UNDO / "aside" / path.name)
            shutil.move(path, aside)
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


def _free(path: Path) -> Path:
    """The path, with a number where there is a file of that name."""
    path.parent.mkdir(exist_ok=True)
    names = (path.with_stem(f"{path.stem}-{number}") if number else path for number in itertools.count())
    return next(name for name in names if not name.exists())
