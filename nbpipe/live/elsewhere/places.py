"""The machines that cells of one kernel run on: connected to once, and kept for the next cell."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any, cast

from nbpipe.errors import UsageError
from nbpipe.live.elsewhere.handles import Handles
from nbpipe.run.fleets import fitted, opened

if TYPE_CHECKING:
    from nbpipe.executors.base import Executor
    from nbpipe.executors.ssh.executor import SshExecutor
    from nbpipe.executors.ssh.pool import PoolExecutor
    from nbpipe.model import Pipeline, Stage, Trace
    from nbpipe.run.project import Project
    from nbpipe.store import Store
    from nbpipe.targets.settings import Target


class Places:
    """Executors by target. What is opened stays open until the kernel ends, with a worker that has its imports done."""

    def __init__(self, names: dict[str, Any]) -> None:
        #: The values of the kernel, whose names are `names`, that stay where they were computed.
        self.handles = Handles(names, self)
        self._open: dict[tuple[str, str], tuple[Target, Executor]] = {}

    def executor(
        self, project: Project, store: Store, target: Target, pipeline: Pipeline, stage: Stage
    ) -> tuple[Executor, dict[str, Any]]:
        """The executor of a target that fits the stage, and what its machine is. Raises TargetError for one that does not."""
        key = (str(project.root), target.name)
        known = self._known(key, target)
        executor = known if known is not None else opened(project, store, target, waited_for=True)
        try:
            if known is not None and target.kind != "local":
                # Somebody may have installed something there since the last cell.
                cast("SshExecutor | PoolExecutor", executor).refresh()
            if target.kind != "local" and not target.hosts:
                # Each host of several has a store of its own, and the next job may run on another one.
                cast("SshExecutor", executor).leave = target.lazy if stage.options.model is None else None
            facts = fitted(project, executor, target, pipeline, [stage], [stage])
        except BaseException:
            if known is None:
                executor.close()
            raise
        self._keep(key, target, executor)
        return executor, facts

    def store_of(self, project: Project, store: Store, target: Target) -> SshExecutor:
        """The machine in whose store values were left, whatever it has to run stages with. It may not answer yet."""
        if target.kind == "local" or target.hosts:
            fix = "Run the cell again that gave them."
            raise UsageError(f"target '{target.name}' has other settings now: values cannot be brought", fix=fix)
        key = (str(project.root), target.name)
        executor = self._known(key, target) or opened(project, store, target, waited_for=True)
        self._keep(key, target, executor)
        return cast("SshExecutor", executor)

    def _keep(self, key: tuple[str, str], target: Target, executor: Executor) -> None:
        if not self._open:
            # It may have been closed meanwhile.
            atexit.unregister(self.close)
            atexit.register(self.close)
        self._open[key] = (target, executor)

    @staticmethod
    def has_kept(executor: Executor, on: str, trace: Trace) -> bool:
        """Whether target `on`, which `executor` reaches, still has all that it has kept of a result."""
        given = [one for one in (*trace.outcome.outputs.values(), *trace.outcome.observed.values()) if one.on]
        if any(one.on != on for one in given) or not hasattr(executor, "holds"):
            return False
        return cast("SshExecutor", executor).holds(name for one in given for name in one.objects)

    def _known(self, key: tuple[str, str], target: Target) -> Executor | None:
        """What is open, with the settings of now."""
        known = self._open.get(key)
        if known is not None and known[0] != target:
            # Its settings were edited.
            self._open.pop(key)[1].close()
            known = None
        return known[1] if known is not None else None

    def close(self) -> None:
        """Hang up everywhere. Jobs that still run are stopped. Safe to repeat."""
        while self._open:
            self._open.popitem()[1][1].close()
        atexit.unregister(self.close)
