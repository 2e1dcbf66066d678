"""What people note about a run: `notes.json` in its folder. No journal, no result and no key speaks of it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from nbpipe.errors import UsageError
from nbpipe.job.folder import write_durably

NOTES = "notes.json"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")
_LONGEST = 1000


class Notes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Version 1."""

    schema: int = 1
    tags: dict[str, str] = {}


def read_notes(folder: Path) -> Notes:
    """The notes of the run in `folder`; empty where there are none that can be read."""
    try:
        return msgspec.json.decode((folder / NOTES).read_bytes(), type=Notes)
    except (OSError, msgspec.MsgspecError):
        return Notes()


def tag(folder: Path, tags: Mapping[str, str]) -> Notes:
    """Set tags of a run, or take those away whose text is empty; the notes as they are now. Raises UsageError."""
    for name, text in tags.items():
        if not _NAME.fullmatch(name) or len(text) > _LONGEST:
            fix = f"A name has letters, digits and _ . -, a text at most {_LONGEST} characters: team=vision"
            raise UsageError(f"{name[:40]!r} cannot be a tag with this text", name=name[:40], fix=fix)
    merged = {**read_notes(folder).tags, **tags}
    notes = Notes(tags={name: text for name, text in sorted(merged.items()) if text})
    write_durably(folder / NOTES, msgspec.json.format(msgspec.json.encode(notes)))
    # The list of runs is marked as changed: that is how the index hears of it.
    os.utime(folder.parent)
    return notes
