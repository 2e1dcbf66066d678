"""The executors of one run, by the target they are for."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nbpipe.executors.base import Executor
from nbpipe.model import Options
from nbpipe.targets.settings import LOCAL


class Fleet:
    """Says where a stage runs: where it says itself, else on the run's own target."""

    def __init__(self, executors: Mapping[str, Executor], *, default: str = LOCAL) -> None:
        self._executors = executors
        self._default = default

    @classmethod
    def alone(cls, executor: Executor) -> Fleet:
        """One executor for every stage, wherever it says that it runs: who calls has chosen the place already."""
        return _Alone({LOCAL: executor})

    def target(self, options: Options) -> str:
        """The target of a stage with these options."""
        return options.on or self._default

    def of(self, target: str) -> Executor:
        """The executor of a target of this run."""
        return self._executors[target]

    def close(self, *, keep: Collection[str] = ()) -> None:
        """Stop everything that still runs, everywhere but on the targets to `keep`. Safe to repeat."""
        for name, executor in self._executors.items():
            if name not in keep:
                executor.close()


class _Alone(Fleet):
    def target(self, options: Options) -> str:  # noqa: ARG002 - whatever they say
        return LOCAL
