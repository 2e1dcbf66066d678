"""What a running run has logged so far of one metric."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from nbpipe.model import Event
from nbpipe.tracking.spool import read_curves

_EVERY = 0.2


class Watch:
    """Hears the events of a run, and tells what its stages have logged since it was asked last.

    A stage that runs on another machine tells only when it has ended.
    """

    def __init__(self, metric: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._metric = metric
        self._clock = clock
        self._asked = -math.inf
        self._folders: dict[str, Path] = {}
        #: Every step and its value, so far.
        self.steps: dict[int, float] = {}
        self.folder: Path | None = None
        #: Those that nobody has asked for yet.
        self._fresh: dict[int, float] = {}

    def hear(self, event: Event) -> None:
        """Take in an event of the run's journal."""
        if self.folder is None:
            return
        if event.kind == "stage-started":
            self._folders[event.stage] = self.folder / "jobs" / f"{event.stage}.{event.attempt}"
        elif event.kind in ("stage-succeeded", "stage-ended"):
            self._look()
            self._folders.pop(event.stage, None)

    def news(self) -> dict[int, float]:
        """Steps that are new, with their values; looks a few times a second at most."""
        now = self._clock()
        if now - self._asked >= _EVERY:
            self._asked = now
            self._look()
        found, self._fresh = self._fresh, {}
        return found

    def _look(self) -> None:
        found: dict[int, float] = {}
        for folder in self._folders.values():
            points = read_curves(folder).get(self._metric, ())
            # Without steps of its own the metric is counted as it comes.
            counted = len(points) > 1 and all(point.step == 0 for point in points)
            for position, point in enumerate(points):
                step = position if counted else point.step
                if step >= 0 and math.isfinite(point.value):
                    found[step] = point.value
        news = {step: value for step, value in found.items() if step not in self.steps}
        self.steps |= news
        self._fresh |= news
