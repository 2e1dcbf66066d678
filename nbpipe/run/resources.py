"""How many jobs fit at once."""

from __future__ import annotations

from nbpipe.executors.base import Capacity
from nbpipe.model import Options


class Slots:
    """Counts what running jobs take. A wish larger than the machine takes all of it: it must not wait for ever."""

    def __init__(self, capacity: Capacity, jobs: int | None) -> None:
        self._jobs = jobs or max(int(capacity.cpus), 1)
        self._cpus = max(capacity.cpus, self._jobs)
        # Where nobody counted the GPUs, there is one: two stages that want it do not fight for its memory.
        self._gpus = max(capacity.gpus, 1.0)
        self._taken: dict[str, tuple[float, float]] = {}

    def fits(self, options: Options) -> bool:
        """Whether a job with these options can start now."""
        cpus, gpus = self._wish(options)
        room = sum(taken[0] for taken in self._taken.values()) + cpus <= self._cpus
        free = not gpus or sum(taken[1] for taken in self._taken.values()) + gpus <= self._gpus
        return room and free and len(self._taken) < self._jobs

    def take(self, stage: str, options: Options) -> None:
        """A job has started."""
        self._taken[stage] = self._wish(options)

    def give_back(self, stage: str) -> None:
        """A job has ended."""
        self._taken.pop(stage, None)

    def _wish(self, options: Options) -> tuple[float, float]:
        return min(options.cpus or 1.0, self._cpus), min(options.gpus or 0.0, self._gpus)
