"""What came of a run, as the caller sees it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nbpipe.model import Failure


class StageResult(msgspec.Struct, frozen=True, kw_only=True):
    """One stage as the caller sees it; `status` as in `run.state`, `seconds` 0 for a cached one."""

    name: str
    status: str
    seconds: float
    reason: str = ""
    metrics: dict[str, float] = {}


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run. `status`: succeeded, up-to-date, failed, rejected, cancelled."""

    run: str
    status: str
    exit_code: int
    #: The executed copy of the notebook.
    notebook: Path
    version: str = ""
    number: int = 0
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    stages: tuple[StageResult, ...] = ()
    failure: Failure | None = None

    @property
    def up_to_date(self) -> bool:
        """There was nothing to do."""
        return self.status == "up-to-date"
