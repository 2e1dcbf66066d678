"""The machines that cells of one kernel run on: connected to once, and kept for the next cell."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any, cast

from nbpipe.run.fleets import fitted, opened

if TYPE_CHECKING:
    from nbpipe.executors.base import Executor
    from nbpipe.executors.ssh.executor import SshExecutor
    from nbpipe.executors.ssh.pool import PoolExecutor
    from nbpipe.model import Pipeline, Stage
    from nbpipe.run.project import Project
    from nbpipe.store import Store
    from nbpipe.targets.settings import Target


class Places:
    """Executors by target. What is opened stays open until the kernel ends, with a worker that has its imports done."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], tuple[Target, Executor]] = {}
        atexit.register(self.close)

    def executor(
        self, project: Project, store: Store, target: Target, pipeline: Pipeline, stage: Stage
    ) -> tuple[Executor, dict[str, Any]]:
        """The executor of a target that fits the stage, and what its machine is. Raises TargetError for one that does not."""
        key = (str(project.root), target.name)
        known = self._open.get(key)
        if known is not None and known[0] != target:
            # Its settings were edited.
            self._open.pop(key)[1].close()
            known = None
        executor = known[1] if known is not None else opened(project, store, target)
        try:
            if known is not None and target.kind != "local":
                # Somebody may have installed something there since the last cell.
                cast("SshExecutor | PoolExecutor", executor).refresh()
            facts = fitted(project, executor, target, pipeline, [stage], [stage])
        except BaseException:
            if known is None:
                executor.close()
            raise
        self._open[key] = (target, executor)
        return executor, facts

    def close(self) -> None:
        """Hang up everywhere. Jobs that still run are stopped. Safe to repeat."""
        while self._open:
            self._open.popitem()[1][1].close()
        atexit.unregister(self.close)
