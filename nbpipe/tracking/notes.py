"""What lies beside a run in its folder, and no journal, result or key speaks of it: notes of people, and names of schedulers."""

from __future__ import annotations

from pathlib import Path

import msgspec

NOTES = "notes.json"
#: In the folder of a run whose stages have ended elsewhere, under a scheduler.
SCHEDULED = "scheduled.json"


class Notes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Version 1. A tag that was taken away stays with an empty text: MLflow has to hear of it, too."""

    schema: int = 1
    tags: dict[str, str] = {}

    @property
    def shown(self) -> dict[str, str]:
        """Tags that the run has."""
        return {name: text for name, text in self.tags.items() if text}


class Scheduled(msgspec.Struct, frozen=True, kw_only=True):
    """`scheduled.json`: with which ends of its stages the run goes into the history, as one name. There is one such run."""

    schema: int = 1
    ends: str = ""


def read_ends(folder: Path) -> str:
    """The name of the ends with which the run in `folder` was recorded; "" for a run that was driven from here."""
    try:
        return msgspec.json.decode((folder / SCHEDULED).read_bytes(), type=Scheduled).ends
    except (OSError, msgspec.MsgspecError):
        return ""


def read_notes(folder: Path) -> Notes:
    """The notes of the run in `folder`; empty where there are none that can be read."""
    try:
        return msgspec.json.decode((folder / NOTES).read_bytes(), type=Notes)
    except (OSError, msgspec.MsgspecError):
        return Notes()
