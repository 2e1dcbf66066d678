"""What ran in this kernel, in order: every cell with its code, and what the stages among them found when they began."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nbpipe.pipeline.code import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbpipe.live.facts import Fact

#: Executions that are remembered; of older ones nothing is known.
KEPT = 2000


@dataclass(slots=True, eq=False)
class Execution:
    """One cell that ran. It is finished when `ok` is set."""

    #: Position among all cells of this kernel, from 1.
    order: int
    #: "stage", "check", "params", "profile", "setup", or "" for any other cell.
    role: str
    name: str
    #: The code below the magic line; the whole cell where there is none.
    body: str
    source: str
    #: Number that the notebook shows in brackets; 0 while it runs.
    count: int = 0
    cell: str = ""
    #: Seconds since the epoch.
    started: float = 0.0
    seconds: float = 0.0
    ok: bool | None = None
    #: Stages and checks: what the names in its code stood for when it began.
    facts: Mapping[str, Fact] = field(default_factory=dict)
    #: How many outputs IPython kept under this number, and the one before, when it began.
    kept: Mapping[int, int] = field(default_factory=dict)
    #: Names in `--metrics` of its line.
    metrics: tuple[str, ...] = ()
    #: Local modules as they were loaded then: name -> digest of the source.
    modules: Mapping[str, str] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """Fingerprint of the code."""
        return fingerprint(self.body)


class Executions:
    """The cells of one kernel. Only the thread that runs cells adds; what it hands out are copies."""

    def __init__(self) -> None:
        self._cells: deque[Execution] = deque(maxlen=KEPT)
        self._count = 0

    def add(self, role: str, name: str, body: str, source: str) -> Execution:
        """A cell that starts now."""
        self._count += 1
        made = Execution(self._count, role, name, body, source)
        self._cells.append(made)
        return made

    def before(self, order: int, limit: int) -> tuple[Execution, ...]:
        """The last `limit` cells that had ended when the cell `order` began, oldest first."""
        found = [cell for cell in self.all() if cell.order < order and cell.ok is not None]
        return tuple(found[-limit:])

    def all(self) -> tuple[Execution, ...]:
        """Every cell that is remembered, oldest first."""
        while True:
            try:
                return tuple(self._cells)
            except RuntimeError:
                # A cell began while the recorder's thread was copying.
                continue

    @property
    def forgotten(self) -> bool:
        """Cells ran that are no longer remembered."""
        return self._count > KEPT
