"""`sweep_notebook`: from what was asked for to a finished sweep; `sweeps`: those there were."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from nbpipe.errors import EXIT_CODES, StoreError, UsageError
from nbpipe.run.abandoned import abandoned
from nbpipe.run.api import Prepared, prepare
from nbpipe.run.project import find_project, relative
from nbpipe.sweep.checks import check_promotion, check_spec
from nbpipe.sweep.goals import read_bounds, read_goals
from nbpipe.sweep.ledger import Ledger, open_ledger, read_study, studies
from nbpipe.sweep.limits import Limits
from nbpipe.sweep.meaning import meaning, pipeline_of
from nbpipe.sweep.searcher import grid_size
from nbpipe.sweep.space import read_space
from nbpipe.sweep.study import Spec, Study
from nbpipe.tracking import outbox

if TYPE_CHECKING:
    from nbpipe.sweep.drive import Listener

#: Trials of a sweep that says nothing else and is no grid.
_TRIALS = 20
#: Points up to which all are tried, in order, where no sampler is named.
_FEW = 1000


@dataclass(frozen=True)
class SweepResult:
    """What came of a sweep, as far as it got this time."""

    study: Study
    exit_code: int
    #: Why it was stopped before its time; "" where it was not.
    stopped_for: str = ""
    #: Stages that write files, because of which the trials ran one after the other.
    writers: tuple[str, ...] = ()
    #: Registered name and version of the model that was promoted.
    promoted: tuple[str, str] | None = None


def sweep_notebook(  # noqa: PLR0913 - one per option of `nbpipe sweep`
    path: str | Path,
    *,
    params: Mapping[str, str] | None = None,
    metrics: Sequence[str] = (),
    where: Iterable[str] = (),
    trials: int | None = None,
    parallel: int = 1,
    timeout: float | None = None,
    fail_fast: bool = False,
    sampler: Literal["auto", "tpe", "random", "grid"] = "auto",
    pruner: Literal["median", "halving", "hyperband", "none"] | None = None,
    startup: int | None = None,
    study: str | None = None,
    on: str | None = None,
    jobs: int | None = None,
    seed: int = 0,
    sampler_seed: int | None = None,
    profile: str | None = None,
    store: str | None = None,
    promote_best: str | None = None,
    listener: Listener | None = None,
    begun: Callable[[Study, int], None] | None = None,
) -> SweepResult:
    """Run the notebook at `path` many times with other parameters; only stages below a varied parameter run each time.

    `params` are texts such as "log:1e-5:1e-1", "1:10" or "cnn,mlp"; `metrics` such as "acc:max"; `where` are conditions
    such as "latency < 0.1". `trials` counts all of the sweep; one named `study` that is there already goes on where it
    stopped. `listener` hears of each trial that begins or ends, `begun` of the study before the first. Raises
    NbpipeError for what prevents a sweep; a trial that fails does not.
    """
    prepared = prepare(path, store=store)
    known = next((found for found in studies(prepared.project) if found.name == study), None)
    if study is not None and not (params or metrics):
        said: dict[str, Any] = {"sampler_seed": sampler_seed, "startup": startup, "profile": profile, "pruner": pruner}
        said |= {"bounds": read_bounds(where) or None, "seed": seed or None}
        said |= {"sampler": sampler if sampler != "auto" else None}
        fields = {name: value for name, value in said.items() if value is not None}
        asked = msgspec.structs.replace((known or read_study(prepared.project, study)).spec, **fields, **_now(prepared))
    else:
        asked = _spec(prepared, params or {}, metrics, where, sampler=sampler, trials=trials, pruner=pruner)
        seeds = {"seed": seed, "sampler_seed": seed if sampler_seed is None else sampler_seed}
        asked = msgspec.structs.replace(asked, **seeds, startup=startup, profile=profile)
        if known is not None and known.spec.space == asked.space and sampler == "auto":
            # What it was called for may have been another number of trials.
            asked = msgspec.structs.replace(asked, sampler=known.spec.sampler)
    pipeline = pipeline_of(prepared)
    if promote_best is not None:
        check_promotion(asked.goals, pipeline)
    check_spec(asked, pipeline)
    size = grid_size(asked.space) if asked.sampler == "grid" else None
    total = trials or (known.total if known is not None else size or _TRIALS)
    total = min(total, size) if size is not None else total
    ledger = open_ledger(prepared.project, study)
    try:
        found = _opened(ledger, asked, total)
        if begun is not None:
            begun(found, total)
        limits = Limits(trials=total, parallel=max(parallel, 1), timeout=timeout, fail_fast=fail_fast)
        result = _driven(prepared, found, ledger, limits, on=on, jobs=jobs, listener=listener)
    finally:
        ledger.close()
        outbox.flush(prepared.project.root)
    if promote_best is not None and result.exit_code != EXIT_CODES["interrupted"] and not result.stopped_for:
        result = _promoted(prepared, result, promote_best)
    return result


def sweeps(name: str | None = None, *, project: str | Path = ".") -> Any:
    """The sweep `name` of the project that `project` lies in; without a name all of them, newest first.

    Each has `trials`, `best` and `dataframe()`. Raises UsageError where there is none of this name.
    """
    place = find_project(Path(project))
    return read_study(place, name) if name is not None else studies(place)


def _spec(
    prepared: Prepared,
    params: Mapping[str, str],
    metrics: Sequence[str],
    where: Iterable[str],
    *,
    sampler: Literal["auto", "tpe", "random", "grid"],
    trials: int | None,
    pruner: Literal["median", "halving", "hyperband", "none"] | None,
) -> Spec:
    goals = read_goals(metrics)
    space, fixed = read_space(pipeline_of(prepared).params, params)
    if sampler == "auto":
        size = grid_size(space)
        sampler = "grid" if size is not None and size <= (trials or _FEW) else "tpe"
    if pruner not in (None, "none") and len(goals) > 1:
        raise UsageError(
            "with several metrics no trial is stopped early",
            name="--pruner",
            fix="Leave --pruner out, or keep one --metric and write the others as --where.",
        )
    chosen = pruner or ("none" if len(goals) > 1 else "median")
    return Spec(
        space=space,
        fixed=fixed,
        goals=goals,
        bounds=read_bounds(where),
        sampler=sampler,
        pruner=chosen,
        **_now(prepared),
    )


def _now(prepared: Prepared) -> dict[str, Any]:
    """What a sweep notes of its notebook."""
    pipeline = pipeline_of(prepared)
    notebook = relative(Path(prepared.notebook.path), prepared.project.root)
    return {
        "notebook": notebook,
        "name": pipeline.name,
        "version": pipeline.version,
        "meaning": meaning(prepared),
    }


def _opened(ledger: Ledger, asked: Spec, total: int) -> Study:
    """The study of this ledger: a new one, or the one that is there, if it is the same. Raises UsageError."""
    found = ledger.study()
    if found is None:
        ledger.append("sweep-started", spec=msgspec.to_builtins(asked), trials=total)
        found = ledger.study()
        assert found is not None  # noqa: S101 - it was begun just now
        return found
    names = [name for name in Spec.__struct_fields__ if name != "version"]
    differ = [name for name in names if getattr(found.spec, name) != getattr(asked, name)]
    if differ == ["meaning"]:
        raise UsageError(
            f"the notebook or a module of it has changed since the sweep '{ledger.name}' began",
            name=ledger.name,
            fix="Its trials would be of two pipelines: begin a new one with another --study, or undo the change.",
        )
    if differ:
        words = ", ".join(_SAID.get(name, name) for name in differ if name != "meaning")
        raise UsageError(
            f"there is a sweep '{ledger.name}' already, with another {words}",
            name=ledger.name,
            fix=f"Leave out all but --study {ledger.name} to go on with it, or give this one another name.",
        )
    ledger.append("sweep-resumed", version=asked.version, trials=total)
    return found


_SAID = {
    "space": "--param",
    "fixed": "--param",
    "goals": "--metric",
    "bounds": "--where",
    "sampler_seed": "--sampler-seed",
    **{name: f"--{name}" for name in ("sampler", "pruner", "startup", "seed", "profile")},
}


def _driven(
    prepared: Prepared,
    study: Study,
    ledger: Ledger,
    limits: Limits,
    *,
    on: str | None,
    jobs: int | None,
    listener: Listener | None,
) -> SweepResult:
    from nbpipe.executors.local import LocalExecutor
    from nbpipe.run.recovery import recover
    from nbpipe.run.signals import stopped_by_signals
    from nbpipe.run.warmth import keep_warm, warm_libraries
    from nbpipe.sweep.drive import Drive
    from nbpipe.sweep.shared import SharedExecutor

    if abandoned(prepared.project):
        recover(prepared.project, prepared.store)
    project = prepared.project
    libraries = warm_libraries(project, prepared.pipeline(()))
    executor = SharedExecutor(LocalExecutor(cpus=jobs, keep=keep_warm(project), libraries=libraries), jobs=jobs)
    drive = Drive(prepared, study, ledger, executor, limits, on=on, listener=listener or (lambda _: None))
    # Until its end is on record: Ctrl-C behind the last trial interrupts nothing.
    with stopped_by_signals(drive):
        try:
            code = drive.run()
        except BaseException:
            with contextlib.suppress(StoreError):
                ledger.append("sweep-finished", status="stopped", best=[])
            raise
        finally:
            executor.close()
        stopped = bool(drive.stopping) and drive.left
        status = "stopped" if drive.stopped_for else "interrupted" if stopped else "finished"
        left = ledger.study()
        assert left is not None  # noqa: S101 - it was begun
        ledger.append("sweep-finished", status=status, best=[trial.number for trial in left.best])
    left = msgspec.structs.replace(left, status=status)
    if not code:
        code = EXIT_CODES["interrupted"] if stopped else _exit_code(left)
    return SweepResult(left, code, drive.stopped_for, drive.writers)


def _exit_code(study: Study) -> int:
    """1 where a trial failed; 8 where none did, but none was accepted either."""
    if study.count("failed"):
        return EXIT_CODES["user"]
    return EXIT_CODES["ok"] if study.best else EXIT_CODES["rejected"]


def _promoted(prepared: Prepared, result: SweepResult, alias: str) -> SweepResult:
    from dataclasses import replace

    from nbpipe.tracking.promotion import promote

    best = next(iter(result.study.best), None)
    if best is None:
        return result
    project = prepared.project
    why = f"best of {len(result.study.trials)} trials of the sweep {result.study.name}"
    name, change = promote(project.root, project.run_folder(best.run), alias=alias, why=why)
    return replace(result, promoted=(name, change.version))
