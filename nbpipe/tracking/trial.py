"""What is recorded of one execution of a stage cell in a live notebook; `docs/formats/trial.md` specifies the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import msgspec

#: The newest schema this version writes; it reads this one and all before it.
SCHEMA = 1
TRIAL_ID = re.compile(r"t[1-9][0-9]{0,8}")

TrialStatus = Literal["succeeded", "failed", "rejected", "cancelled"]


class Seen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a cell found under a name when it started."""

    #: Qualified type name, such as "pandas.DataFrame".
    type: str
    #: Of the value, as artifacts have it; "" where it was not digested, because that might have taken long.
    digest: str = ""
    #: Shape of an array or frame, or the length of a container; None where it is not known.
    shape: tuple[int, ...] | None = None
    #: Element type of an array.
    dtype: str = ""
    #: Of a frame: name -> type of its first 200 columns.
    columns: dict[str, str] = {}
    #: The value itself, where it is small and JSON can carry it.
    value: Any = msgspec.UNSET


class Ran(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A cell that ran earlier in the same kernel."""

    #: "stage", "check", "params", "profile", "setup", or "" for any other cell.
    role: str = ""
    name: str = ""
    #: Fingerprint of its code: comments and formatting do not count.
    code: str = ""
    ok: bool = True


class TrialError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The exception that ended a cell."""

    ename: str
    evalue: str = ""
    #: Line of the cell, from 1, the magic line counted; None where the error did not pass through the cell.
    line: int | None = None


class Trial(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One execution of a `%%stage` or `%%check` cell in a notebook. Times are seconds since the epoch."""

    schema: int = SCHEMA
    #: "t12"; given in the order in which trials were written.
    id: str
    stage: str
    kind: Literal["stage", "check"] = "stage"
    #: Path from the project; "" where the front-end does not tell it.
    notebook: str = ""
    #: Identity of the kernel it ran in.
    kernel: str
    #: Which execution of that kernel it was: the number that notebooks show in brackets.
    count: int = 0
    #: Identity of the cell in the notebook, where the front-end tells it.
    cell: str = ""
    #: The whole cell as it ran, magic line included.
    source: str
    #: Fingerprint of the code below the magic line: comments and formatting do not count.
    code: str = ""
    started: float
    seconds: float
    status: TrialStatus
    error: TrialError | None = None
    #: Parameters it read, with their values.
    params: dict[str, Any] = {}
    #: The other variables it read that were there when it started.
    inputs: dict[str, Seen] = {}
    #: Values of the names in `--metrics` when it ended.
    metrics: dict[str, float] = {}
    #: nbformat 4 outputs: text and images, up to a limit.
    outputs: tuple[dict[str, Any], ...] = ()
    #: Outputs were shortened or left out.
    cut: bool = False
    #: Cells that ran before it in this kernel, oldest first; only the last ones of a long session.
    before: tuple[Ran, ...] = ()
    #: "python", "system", "host", "user", "git" (commit).
    environment: dict[str, str] = {}
    #: Packages that the cell uses -> version.
    packages: dict[str, str] = {}


def read_trial(path: Path) -> Trial | None:
    """The trial in a file; None where it is not there, not whole, or newer than this version can read."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Trial)
    except (OSError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return found if found.schema <= SCHEMA else None
