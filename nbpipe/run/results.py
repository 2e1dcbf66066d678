"""Earlier results, as a run asks for them: the same question is not asked of the store twice."""

from __future__ import annotations

from nbpipe.model import Trace
from nbpipe.store import Store


class Results:
    """The store's traces; the newest of a stage is looked for once, because that may read them all."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._latest: dict[str, Trace | None] = {}

    def lookup(self, key: str, problems: list[str] | None = None) -> list[Trace]:
        """Sound traces under a key, newest first."""
        return self._store.traces.lookup(key, problems)

    def latest(self, stage: str, problems: list[str] | None = None) -> Trace | None:
        """The newest trace of a stage, as of the first time it was asked for."""
        if stage not in self._latest:
            self._latest[stage] = self._store.traces.latest(stage, problems)
        return self._latest[stage]
