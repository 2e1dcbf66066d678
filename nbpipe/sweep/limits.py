"""How far a sweep goes, and how many trials run at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Limits:
    """What a sweep was allowed this time; taken up again, it may be allowed more."""

    def __init__(
        self,
        *,
        trials: int,
        parallel: int = 1,
        timeout: float | None = None,
        fail_fast: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        #: Of the whole sweep, those of earlier processes counted.
        self.trials = trials
        self.parallel = parallel
        #: Stop at the first trial that fails.
        self.fail_fast = fail_fast
        self._timeout = timeout
        self._clock = clock
        self._until = math.inf

    def begin(self) -> None:
        """From now on the time counts."""
        self._until = self._clock() + self._timeout if self._timeout is not None else math.inf

    def allows(self, number: int) -> bool:
        """Whether the trial `number` may begin now."""
        return number <= self.trials and self._clock() < self._until
