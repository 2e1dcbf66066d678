"""Takes back what a job wrote, from the copies that it took before it first wrote each file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from nbpipe.job.folder import UNDO


def undo(job: Path, *, seen: bool = False) -> None:
    """Put back every file that the job in this folder wrote, and take away those that it made. Safe to repeat.

    `seen`: only those that it was seen to write; others that came meanwhile may be somebody else's.
    """
    index = job / UNDO / "index.jsonl"
    if not index.exists():
        return
    for line in index.read_text().splitlines():
        entry = json.loads(line)
        if seen and "seen" in entry:
            continue
        path = Path(entry["path"])
        if entry["copy"]:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.undo")
            shutil.copy2(job / UNDO / entry["copy"], temporary)
            temporary.replace(path)
        else:
            path.unlink(missing_ok=True)
