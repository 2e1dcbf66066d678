"""How many jobs fit at once, and what is said of those that do not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nbpipe.executors.base import Capacity
from nbpipe.model import Options, Stage


def without_gpus(stages: Iterable[Stage]) -> tuple[str, ...]:
    """A warning for each of these stages that asks for more GPUs than this machine has. It does not wait for them."""
    wishes = {stage.name: stage.options.gpus for stage in stages if stage.options.gpus}
    if not wishes:
        return ()
    from nbpipe.executors.devices import counted

    there = counted()
    if there is None:
        return ()
    has, runs = (f"has {there}", "with that") if there else ("has none", "without")
    return tuple(
        f"stage '{name}' asks for {wish:g} GPU{'' if wish == 1 else 's'}, and this machine {has}: it runs {runs}; "
        "--on TARGET runs it elsewhere"
        for name, wish in wishes.items()
        if wish > there
    )


@dataclass(frozen=True, slots=True)
class _Wish:
    cpus: float
    gpus: float
    memory: float


class Slots:
    """Counts what running jobs take. A wish larger than the machine takes all of it: it must not wait for ever."""

    def __init__(self, capacity: Capacity, jobs: int | None) -> None:
        self._jobs = jobs or max(int(capacity.cpus), 1)
        # Where nobody counted the GPUs, there is one: two stages that want it do not fight for its memory.
        self._all = _Wish(
            cpus=max(capacity.cpus, self._jobs),
            gpus=max(capacity.gpus, 1.0),
            memory=capacity.memory if capacity.memory is not None else float("inf"),
        )
        self._taken: dict[str, _Wish] = {}

    def fits(self, options: Options) -> bool:
        """Whether a job with these options can start now. What it does not ask for does not hold it up."""
        wish = self._wish(options)
        taken = self._taken.values()
        return (
            len(self._taken) < self._jobs
            and sum(other.cpus for other in taken) + wish.cpus <= self._all.cpus
            and (not wish.gpus or sum(other.gpus for other in taken) + wish.gpus <= self._all.gpus)
            and (not wish.memory or sum(other.memory for other in taken) + wish.memory <= self._all.memory)
        )

    def take(self, stage: str, options: Options) -> None:
        """A job has started."""
        self._taken[stage] = self._wish(options)

    def give_back(self, stage: str) -> None:
        """A job has ended."""
        self._taken.pop(stage, None)

    def _wish(self, options: Options) -> _Wish:
        return _Wish(
            cpus=min(options.cpus or 1.0, self._all.cpus),
            gpus=min(options.gpus or 0.0, self._all.gpus),
            memory=min(options.memory or 0, self._all.memory),
        )
