"""Noting tags of a run; `nbpipe.tracking.notes` reads them."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from nbpipe.errors import UsageError
from nbpipe.job.folder import write_durably
from nbpipe.tracking import outbox
from nbpipe.tracking.notes import NOTES, Notes, read_notes

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")
#: Names that MLflow or nbpipe itself give a meaning.
_TAKEN = ("mlflow.", "nbpipe.")
_LONGEST = 1000
_LOCK = ".notes.lock"


def tag(folder: Path, tags: Mapping[str, str]) -> Notes:
    """Set tags of the run in `folder`, or take those away whose text is empty; the notes as they are now.

    Noted for delivery to MLflow. Raises UsageError for a name or a text that cannot be.
    """
    for name, text in tags.items():
        if not _NAME.fullmatch(name) or name.startswith(_TAKEN) or len(text) > _LONGEST:
            fix = f"A name has letters, digits and _ . -, a text at most {_LONGEST} characters: team=vision"
            raise UsageError(f"{name[:40]!r} cannot be a tag with this text", name=name[:40], fix=fix)
    # Two who tag the same run at once: the second begins from what the first has written.
    with _alone(folder):
        notes = Notes(tags=dict(sorted({**read_notes(folder).tags, **tags}.items())))
        write_durably(folder / NOTES, msgspec.json.format(msgspec.json.encode(notes)))
        # The list of runs is marked as changed: that is how the index hears of it.
        os.utime(folder.parent)
        outbox.note(folder)
    return notes


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While nobody else is writing notes of this run."""
    with (folder / _LOCK).open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
