"""`run_notebook`: from a notebook on disk to a finished run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbpipe.credentials import values_of
from nbpipe.errors import ParameterError, UsageError
from nbpipe.notebook.options import check_supported
from nbpipe.notebook.reader import read_notebook
from nbpipe.notebook.stages import outline
from nbpipe.pipeline.extract import extract_outline
from nbpipe.pipeline.params import resolve_params
from nbpipe.pipeline.secrets import secret_names
from nbpipe.run import merges
from nbpipe.run.abandoned import abandoned
from nbpipe.run.earlier import given_params
from nbpipe.run.outcome import RunResult, StageResult
from nbpipe.run.project import find_project
from nbpipe.run.refused import refused
from nbpipe.run.selection import select
from nbpipe.run.settings import Settings
from nbpipe.run.uptodate import LOOKING, Unsettled, up_to_date
from nbpipe.store import open_store
from nbpipe.targets.settings import LOCAL
from nbpipe.tracking import outbox

if TYPE_CHECKING:
    from nbpipe.executors.base import Executor
    from nbpipe.executors.fleet import Fleet
    from nbpipe.model import Event, Notebook, Outline, Pipeline
    from nbpipe.run.beside import Lane
    from nbpipe.run.drive import Drive
    from nbpipe.run.project import Project
    from nbpipe.run.record import Record
    from nbpipe.store import Store
    from nbpipe.targets.settings import Target

__all__ = ["Member", "Prepared", "RunResult", "StageResult", "prepare", "run_notebook", "run_prepared"]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A notebook that was read, and where its runs go. The file is not read again: it may be edited meanwhile."""

    project: Project
    store: Store
    notebook: Notebook
    outline: Outline
    #: The notebook's folder, where its local modules lie.
    folder: Path

    def pipeline(self, joined: tuple[tuple[str, ...], ...]) -> Pipeline:
        """What runs, as far as is known by now of what its stages do. `joined` are groups of stages that run as one."""
        return extract_outline(self.outline, self.folder, observed=self.store.hints.observed, merges=joined)


@dataclass(frozen=True, kw_only=True)
class Member:
    """What somebody who makes many runs of one notebook wants of each. Such a run is made even if nothing has to be done."""

    #: Hears the run's id before its first event.
    begun: Callable[[str], None]
    #: Asked all the time: "" to go on, "ask" to stop the stages that run, "kill" to kill them.
    halt: Callable[[], str]
    #: Its part among those of them that go on side by side.
    lane: Lane


def prepare(path: str | Path, *, store: str | None = None) -> Prepared:
    """Read the notebook at `path`. Raises NbpipeError where it is none, or the store cannot be opened."""
    notebook = read_notebook(Path(path))
    project = find_project(Path(path))
    place = open_store(store or project.store)
    return Prepared(
        project=project, store=place, notebook=notebook, outline=outline(notebook), folder=Path(path).parent
    )


def run_notebook(  # noqa: PLR0913 - one per option of `nbpipe run`
    path: str | Path,
    *,
    params: Mapping[str, Any] | None = None,
    params_from: str | None = None,
    profile: str | None = None,
    only: str | None = None,
    from_: str | None = None,
    until: str | None = None,
    fresh: bool = False,
    resume: bool = False,
    jobs: int | None = None,
    seed: int = 0,
    store: str | None = None,
    on: str | None = None,
    executor: Executor | None = None,
    listener: Callable[[Event], None] | None = None,
    run_id: str | None = None,
) -> RunResult:
    """Run the notebook at `path` as a pipeline; what has not changed is reused.

    `params` are values or texts as typed on the command line; they win over what the run `params_from` was given. `only`,
    `from_` and `until` name stages; `fresh` reuses nothing. `resume` goes on at the cell that failed,
    in the kernel that its target has kept. `on` is the target of the stages that name none; `executor`
    stands for this machine. `listener` hears every event of the journal. A run that fails
    is a result, not an error; raises NbpipeError for what prevents a run: a bad notebook or pipeline, a wrong parameter,
    a store that cannot be written, a target that cannot be reached or does not fit.
    """
    result = run_prepared(
        prepare(path, store=store),
        params=params,
        params_from=params_from,
        profile=profile,
        only=only,
        from_=from_,
        until=until,
        fresh=fresh,
        resume=resume,
        jobs=jobs,
        seed=seed,
        on=on,
        executor=executor,
        listener=listener,
        run_id=run_id,
    )
    outbox.flush(find_project(Path(path)).root)
    return result


def run_prepared(  # noqa: PLR0913 - likewise
    prepared: Prepared,
    *,
    params: Mapping[str, Any] | None = None,
    params_from: str | None = None,
    profile: str | None = None,
    only: str | None = None,
    from_: str | None = None,
    until: str | None = None,
    fresh: bool = False,
    resume: bool = False,
    jobs: int | None = None,
    seed: int = 0,
    on: str | None = None,
    executor: Executor | None = None,
    listener: Callable[[Event], None] | None = None,
    run_id: str | None = None,
    member: Member | None = None,
) -> RunResult:
    """As `run_notebook`, of a notebook that was read. What is to be delivered to MLflow is noted, and not sent yet."""
    project, place, notebook = prepared.project, prepared.store, prepared.notebook
    joined = merges.known(project, notebook)
    pipeline = prepared.pipeline(joined)
    earlier = given_params(project, params_from, pipeline.params) if params_from is not None else None
    values = resolve_params(pipeline.params, params or {}, profile, pipeline.profiles, earlier=earlier)
    if resume and not _any_left(project):
        fix = 'Set keep_failed = "15m" on its target; without --continue the stage begins at its first cell.'
        raise UsageError("no target has kept the kernel of a failed stage", name="--continue", fix=fix)
    secrets = secret_names(pipeline, prepared.folder)
    refuse_secrets(values, values_of(secrets, os.environ))
    places = _places(project, pipeline, on)
    if LOOKING.get() and abandoned(project):
        raise Unsettled
    told = list[str]()
    if member is None and abandoned(project):
        from nbpipe.run.recovery import recover

        try:
            recover(project, place, told.append)
        except OSError as error:
            raise refused(project.state, error) from error

    def asked() -> Settings:
        chosen = select(pipeline, only=only, from_=from_, until=until, fresh=fresh)
        return Settings(params=values, seed=seed, jobs=jobs, secrets=secrets, resume=resume, **chosen)

    found = up_to_date(pipeline, project, place, asked(), notebook) if member is None else None
    if found is not None:
        return _earlier(found, project, told)
    if LOOKING.get():
        raise Unsettled
    # What drives a run is imported where there is something to do: saying that there is not has to be quick.
    from nbpipe.executors.fleet import Fleet
    from nbpipe.run.drive import Drive

    own = executor is None
    if executor is None:
        from nbpipe.executors.local import LocalExecutor
        from nbpipe.run.warmth import keep_warm, warm_libraries

        libraries = warm_libraries(project, pipeline)
        executor = LocalExecutor(cpus=jobs, keep=keep_warm(project), libraries=libraries)
    drive: Drive | None = None
    fleet = Fleet({LOCAL: executor}, default=LOCAL)
    try:
        fleet, machines = _fleet(project, place, pipeline, asked(), places, executor, on or LOCAL)
        lane = member.lane if member is not None else None
        drive = Drive(project, place, notebook, seed=seed, profile=profile, listener=listener, run=run_id, lane=lane)
        drive.machines = machines
        drive.warnings = (*told, *_short_of_gpus(project, place, pipeline, asked(), places))
        if member is not None:
            drive.halt = member.halt
            member.begun(drive.run)
        while not isinstance(outcome := drive.go(pipeline, asked(), fleet), RunResult):
            joined = (*joined, outcome.names)
            merges.remember(project, notebook, joined)
            pipeline = prepared.pipeline(joined)
    except OSError as error:
        raise refused(project.state, error) from error
    finally:
        if drive is not None:
            drive.close()
        fleet.close(keep=() if own else (LOCAL,))
    return outcome


def _places(project: Project, pipeline: Pipeline, on: str | None) -> Mapping[str, Target]:
    """Stage -> where it runs; empty where all run here: that is known without a look at the project's targets.

    Raises UnsupportedError for an option that the stage's target cannot honour.
    """
    places: Mapping[str, Target] = {}
    if on is not None or any(stage.options.on not in (None, LOCAL) for stage in pipeline.stages):
        from nbpipe.run.fleets import places_of

        places = places_of(project, pipeline, on)
    for stage in pipeline.stages:
        kind = places[stage.name].kind if places else LOCAL
        check_supported(stage.options, stage.name, stage.cells[0].cell, kind=kind)
    return places


def _short_of_gpus(
    project: Project, store: Store, pipeline: Pipeline, settings: Settings, places: Mapping[str, Target]
) -> tuple[str, ...]:
    """Warnings of stages that may run on this machine and ask for more GPUs than it has."""
    wishing = [stage for stage in pipeline.stages if stage.options.gpus]
    here = [stage for stage in wishing if not places or places[stage.name].name == LOCAL]
    if not here:
        return ()
    from nbpipe.run.planning import stages_to_run
    from nbpipe.run.resources import without_gpus

    runs = stages_to_run(project, store, pipeline, settings)
    return without_gpus(stage for stage in here if stage.name in runs)


def _fleet(
    project: Project,
    store: Store,
    pipeline: Pipeline,
    settings: Settings,
    places: Mapping[str, Target],
    executor: Executor,
    default: str,
) -> tuple[Fleet, dict[str, Any]]:
    """The executors; those of other machines are asked first, as far as stages may run there."""
    from nbpipe.executors.fleet import Fleet

    if all(target.name == LOCAL for target in places.values()):
        return Fleet({LOCAL: executor}, default=default), {}
    from nbpipe.run.fleets import assemble
    from nbpipe.run.planning import stages_to_run

    runs = stages_to_run(project, store, pipeline, settings)
    return assemble(project, store, pipeline, places=places, runs=runs, local=executor, default=default)


def refuse_secrets(params: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
    """Parameters are written down. Raises ParameterError for one that holds a secret."""
    for name, value in params.items():
        for secret, hidden in secrets.items():
            if hidden in str(value):
                raise ParameterError(
                    f"parameter '{name}' is given the value of the secret {secret}, and parameters are recorded",
                    name=name,
                    fix=f'Read it in the code: nbpipe.secret("{secret}").',
                )


def _any_left(project: Project) -> bool:
    from nbpipe.run.kept import any_left

    return any_left(project.root)


def _earlier(found: Record, project: Project, told: list[str]) -> RunResult:
    return RunResult(
        run=found.id,
        status="up-to-date",
        exit_code=0,
        notebook=project.root / found.executed,
        version=found.version,
        number=found.number,
        warnings=(*told, *found.warnings),
        stages=tuple(StageResult(name=name, status="cached", seconds=0.0) for name in found.keys),
    )
