"""How many jobs fit at once."""

from __future__ import annotations

from nbpipe.executors.base import Capacity
from nbpipe.model import Options


class Slots:
    """Counts what running jobs take. One job alone always fits: a wish larger than the machine must not wait for ever."""

    def __init__(self, capacity: Capacity, jobs: int | None) -> None:
        self._capacity = capacity
        self._jobs = jobs or max(int(capacity.cpus), 1)
        self._taken: dict[str, tuple[float, float]] = {}

    def fits(self, options: Options) -> bool:
        """Whether a job with these options can start now."""
        if not self._taken:
            return True
        cpus, gpus = (sum(column) for column in zip(*self._taken.values(), strict=True))
        room = cpus + (options.cpus or 1.0) <= max(self._capacity.cpus, self._jobs)
        return room and gpus + (options.gpus or 0.0) <= self._capacity.gpus and len(self._taken) < self._jobs

    def take(self, stage: str, options: Options) -> None:
        """A job has started."""
        self._taken[stage] = (options.cpus or 1.0, options.gpus or 0.0)

    def give_back(self, stage: str) -> None:
        """A job has ended."""
        self._taken.pop(stage, None)
