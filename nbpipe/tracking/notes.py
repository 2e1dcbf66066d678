"""What people note about a run: `notes.json` in its folder. No journal, no result and no key speaks of it."""

from __future__ import annotations

from pathlib import Path

import msgspec

NOTES = "notes.json"


class Notes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Version 1. A tag that was taken away stays with an empty text: MLflow has to hear of it, too."""

    schema: int = 1
    tags: dict[str, str] = {}

    @property
    def shown(self) -> dict[str, str]:
        """Tags that the run has."""
        return {name: text for name, text in self.tags.items() if text}


def read_notes(folder: Path) -> Notes:
    """The notes of the run in `folder`; empty where there are none that can be read."""
    try:
        return msgspec.json.decode((folder / NOTES).read_bytes(), type=Notes)
    except (OSError, msgspec.MsgspecError):
        return Notes()
