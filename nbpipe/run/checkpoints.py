"""Where the checkpoints of a stage lie: a place per key, so that only the same work is ever taken up."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from blake3 import blake3

from nbpipe.plan.resolve import Wanted

#: Seconds after which checkpoints that nobody took up are removed.
_FORGOTTEN = 30 * 86400.0


def checkpoints_of(project: Path, wanted: Wanted, *, run: str = "") -> str:
    """The place for one key and the ambient state it starts from. With `run` it is that run's alone.

    Older places that nobody used for a month are removed.
    """
    state = sorted(f"{name} {artifact.digest}" for name, artifact in wanted.ambient.items())
    name = blake3("\n".join([wanted.key, run, *state]).encode()).hexdigest()[:32]
    folder = project / ".nbpipe" / "checkpoints"
    before = time.time() - _FORGOTTEN
    for place in folder.iterdir() if folder.is_dir() else ():
        if place.is_dir() and max(found.stat().st_mtime for found in (place, *place.rglob("*"))) < before:
            shutil.rmtree(place, ignore_errors=True)
    return str(folder / name)
