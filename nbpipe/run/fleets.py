"""The executors that a run needs, each of which was asked whether it fits: before anything runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import msgspec

from nbpipe import __version__
from nbpipe.executors.base import Executor, Lending
from nbpipe.executors.fleet import Fleet
from nbpipe.model import Pipeline, Stage
from nbpipe.plan.facts import Outside
from nbpipe.run.configured import configured
from nbpipe.run.project import Project
from nbpipe.store import Store
from nbpipe.targets import tested
from nbpipe.targets.fit import compare, need_of, refuse, unlike
from nbpipe.targets.settings import LOCAL, Target, read_targets, target_named

if TYPE_CHECKING:
    from nbpipe.executors.ssh.executor import SshExecutor
    from nbpipe.executors.ssh.pool import PoolExecutor


def targets_of(project: Project) -> dict[str, Target]:
    """What the project says of its targets. Raises UsageError for what does not make sense."""
    return read_targets(configured(project, "targets"))


def places_of(project: Project, pipeline: Pipeline, on: str | None) -> dict[str, Target]:
    """Stage -> the target it runs on: its own, else the run's. Raises UsageError for one that is not there."""
    asked = {stage.name: stage.options.on or on or LOCAL for stage in pipeline.stages}
    if set(asked.values()) == {LOCAL} and on is None:
        return dict.fromkeys(asked, Target(name=LOCAL))
    targets = targets_of(project)
    if on is not None:
        target_named(targets, on)
    own = {stage.name for stage in pipeline.stages if stage.options.on is not None}
    return {name: target_named(targets, place, stage=name if name in own else None) for name, place in asked.items()}


def assemble(
    project: Project,
    store: Store,
    pipeline: Pipeline,
    *,
    places: Mapping[str, Target],
    runs: Iterable[str],
    local: Executor,
    default: str,
) -> tuple[Fleet, dict[str, Any]]:
    """The fleet, and what the machines of the stages that will run are. Raises TargetError for one that does not fit.

    `runs` are the stages that may run; a target on which all is known already is not asked.
    """
    executors: dict[str, Executor] = {LOCAL: local}
    facts: dict[str, Any] = {}
    wanted = set(runs)
    try:
        for target in {target.name: target for target in places.values()}.values():
            if target.name == LOCAL:
                continue
            if target.kind == "local":
                executors[target.name] = opened(project, store, target)
                continue
            here = [stage for stage in pipeline.stages if places[stage.name].name == target.name]
            executors[target.name] = _over_ssh(project, store, pipeline, target, here, wanted, facts, local)
    except BaseException:
        Fleet({name: executor for name, executor in executors.items() if name != LOCAL}).close()
        raise
    return Fleet(executors, default=default), facts


def opened(project: Project, store: Store, target: Target, *, waited_for: bool = False) -> Executor:
    """An executor for the target, for somebody who has only this run where it is `waited_for`. Nothing is connected yet."""
    from nbpipe.run.warmth import keep_warm

    keep = keep_warm(project, waited_for=waited_for)
    if target.kind == "local":
        from nbpipe.executors.local import LocalExecutor

        return LocalExecutor(cpus=target.cpus, gpus=target.gpus or 0.0, memory=target.memory, keep=keep)
    return _reached(target, Outside(project.root, store.variable_digest).digest, keep)


def _reached(target: Target, here: Callable[[str], str], keep_warm: float = 0.0) -> SshExecutor | PoolExecutor:
    if target.hosts:
        from nbpipe.executors.ssh.pool import PoolExecutor

        return PoolExecutor(target, here=here, keep_warm=keep_warm)
    from nbpipe.executors.ssh.executor import SshExecutor

    return SshExecutor(target, here=here, keep_warm=keep_warm)


def fitted(
    project: Project,
    executor: Executor,
    target: Target,
    pipeline: Pipeline,
    here: Sequence[Stage],
    runs: Sequence[Stage],
) -> dict[str, Any]:
    """What the machine of a target is, once it fits the stages that will run. Raises TargetError where it does not.

    `here` are all stages that may run there: their packages are compared, too.
    """
    if target.kind == "local":
        return {}
    ssh = cast("SshExecutor | PoolExecutor", executor)
    need, whole = need_of(pipeline, runs, __version__), need_of(pipeline, here, __version__)
    if target.environment == "build":
        ssh.build(whole.distributions)
    each = ssh.each(sorted(whole.distributions))
    built = target.environment == "build"
    packages = dict(whole.distributions) if built else tested.packages_of(each.values(), whole.distributions)
    tested.note(project.state, target, ready=True, detail=summaries(each), packages=packages)
    for found in each.values():
        refuse(target, compare(target, found, need))
    ssh.start()
    # What is built has the versions of here.
    ssh.unlike = "" if built else next((why for found in each.values() if (why := unlike(found, whole))), "")
    first = next(iter(each.values()))
    if built:
        first = {**first, "python": pipeline.python, "packages": packages}
    return {"kind": target.kind, "host": target.place, **first, **({"hosts": each} if target.hosts else {})}


def _over_ssh(
    project: Project,
    store: Store,
    pipeline: Pipeline,
    target: Target,
    here: list[Stage],
    wanted: set[str],
    facts: dict[str, Any],
    local: Executor,
) -> Executor:
    """The executor for the stages `here`, which fits those that are `wanted`.

    Another one may turn out to have to run, too: what it gives then is reused only if its packages were compared.
    """
    # Runs beside each other share it: one connection, and what is ready at once can be handed in together.
    # Of trials no kernel is kept: nobody mends a cell for one of many, and the next trial needs its GPU.
    lent = msgspec.structs.replace(target, keep_failed=0.0)
    made = local.lend(target.name, partial(opened, project, store, lent)) if isinstance(local, Lending) else None
    executor = cast("SshExecutor | PoolExecutor", made or opened(project, store, target))
    stages = [stage for stage in here if stage.name in wanted]
    if not stages:
        executor.unlike = f"the packages of target '{target.name}' were not compared: nothing was expected to run there"
        return executor
    try:
        facts[target.name] = fitted(project, executor, target, pipeline, here, stages)
    except BaseException:
        executor.close()
        raise
    return executor


def asked(target: Target) -> SshExecutor | PoolExecutor | Here:
    """The machine of a target, to be asked for its `facts` and closed. Nothing is connected yet."""
    if target.kind == "local":
        return Here(target)
    return _reached(target, lambda _: "")


class Here:
    """Answers for this machine as others do for theirs."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def facts(self, distributions: Sequence[str] = ()) -> dict[str, Any]:
        """What it is and has."""
        from nbpipe.executors.ssh.there.facts import facts

        return facts(".", sorted({"nbpipe", *distributions}), self._target.gpus)

    def each(self, distributions: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
        """The same, by name."""
        return {self._target.place: self.facts(distributions)}

    def round_trip(self) -> float | None:
        """There is no way to it."""
        return None

    def close(self) -> None:
        """Nothing is held."""


def states(project: Project, targets: Iterable[Target]) -> list[dict[str, str]]:
    """Each target with what is known of it, without connecting: what the last test found, or that there was none."""
    rows = []
    for target in targets:
        row = {"name": target.name, "kind": target.kind}
        if target.kind == "local":
            count = int(target.cpus or os.cpu_count() or 1)
            detail = f"this machine, {count} CPU{'' if count == 1 else 's'}"
            rows.append({**row, "state": "ready", "detail": detail})
            continue
        last = tested.noted(project.state, target)
        untested = f"{target.place}, not tested yet: nbpipe target test {target.name}"
        rows.append({**row, "state": last.state if last else "unknown", "detail": last.detail if last else untested})
    return rows


def summaries(each: Mapping[str, Mapping[str, Any]]) -> str:
    """The machines of a target in a line."""
    return "; ".join(summary(facts) for facts in each.values())


def summary(facts: Mapping[str, Any]) -> str:
    """A machine in a line."""
    gpus = facts["gpus"]
    count = len(facts["devices"])
    shown = f"{count} × {gpus[0]['name']}" if gpus else f"{count} GPUs" if count else "no GPU"
    return (
        f"{facts['host']}: {facts['cpus']} CPUs, {facts['memory'] / 2**30:.0f} GiB, {shown}, Python {facts['python']}"
    )
