"""`run_stage`: one stage of a scheduled run, with the keys, the store and the engine of every other run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.errors import PipelineError, UsageError
from nbpipe.executors.base import Executor
from nbpipe.executors.fleet import Fleet
from nbpipe.executors.local import LocalExecutor
from nbpipe.model import Event, Failure, Pipeline
from nbpipe.plan.facts import Outside
from nbpipe.run.attempt import Place
from nbpipe.run.drive import exit_code_of
from nbpipe.run.engine import Engine
from nbpipe.run.files import Disk
from nbpipe.run.journal import Journal
from nbpipe.run.settings import Settings
from nbpipe.stage.above import refuse_stale, require, results, stale, standing
from nbpipe.stage.attempts import attempt_folder, take_back_jobs
from nbpipe.stage.book import Begun, Book, Entry, FolderBook
from nbpipe.stage.curves import logged_in
from nbpipe.stage.packages import refuse_others
from nbpipe.stage.pipelines import observed, values_of, with_retries
from nbpipe.stage.site import Site
from nbpipe.store import Store

#: A stage is not run more often than this because stages beside it changed what it reads.
_MOST_ROUNDS = 8
Listener = Callable[[Event, Path], None]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a scheduler asks of a stage."""

    stage: str
    #: What the run is called in messages and in the history.
    label: str
    #: Values, and texts as typed on the command line, which win.
    params: Mapping[str, Any] = {}
    texts: Mapping[str, Any] = {}
    fresh: bool = False
    #: Retries of this process; those of the scheduler are its own.
    retries: int = 0


def run_stage(
    site: Site, store: Store, book: Book, ask: Ask, listener: Listener, *, executor: Executor | None = None
) -> Entry:
    """Run the stage, or find its result in the store; how it ended, which is noted in the book.

    The job is a process of this machine, unless another `executor` is given.
    Raises NbpipeError where it cannot be run, or where what was run side by side would not give what one after the other
    gives.
    """
    names = [stage.name for stage in site.pipeline.stages]
    if ask.stage not in names:
        raise UsageError(
            f"there is no stage {ask.stage[:80]!r}", name=ask.stage[:80], fix=f"Stages: {', '.join(names)}"
        )
    refuse_others(site.pipeline, [stage for stage in site.pipeline.stages if stage.name == ask.stage])
    params = values_of(site, ask.params, ask.texts)
    order = site.manifest.order
    seed = site.manifest.seed
    book.begin(Begun(version=site.pipeline.version, params=params, seed=seed))
    pipeline = observed(site.pipeline, store)
    if isinstance(book, FolderBook):
        from nbpipe.export.graph import ancestors

        above = [name for name in names if name in ancestors(order, ask.stage)]
    else:
        above = names[: names.index(ask.stage)]
    entry: Entry | None = None
    book.read(ask.stage)
    with attempt_folder(site.project.state) as folder:
        for number in range(_MOST_ROUNDS):
            given = results(book, above)
            require(pipeline, ask.stage, order, given)
            given = standing(pipeline, ask.stage, given, params, order=order, seed=seed)
            if entry is not None and entry.trace is not None:
                # What ran beside it may have ended meanwhile, and changed what it had read.
                both = {**given, ask.stage: entry.trace}
                if stale(pipeline, both, params, seed=seed) is None:
                    refuse_stale(pipeline, both, params, order=order, seed=seed)
                    return book.write(entry)
                take_back_jobs(folder)
            journal = _journal(folder / str(number), listener)
            entry = _attempt(journal, site, store, pipeline, ask, params, given, executor)
            if entry.trace is None:
                return book.write(entry) if not isinstance(book, FolderBook) else entry
    raise PipelineError("does not settle: stages beside it change what it reads", stage=ask.stage, fix="Export again.")


def _journal(folder: Path, listener: Listener) -> Journal:
    folder.mkdir()
    return Journal(folder, lambda event: listener(event, folder))


def _attempt(
    journal: Journal,
    site: Site,
    store: Store,
    pipeline: Pipeline,
    ask: Ask,
    params: Mapping[str, Any],
    given: Mapping[str, Any],
    given_executor: Executor | None,
) -> Entry:
    """One run of the engine, in which this stage alone takes part."""
    executor = given_executor or LocalExecutor(warm=False)
    try:
        engine = Engine(
            with_retries(pipeline, ask.stage, ask.retries),
            Place(
                run=ask.label,
                folder=journal.path.parent,
                project=site.project.root,
                cwd=site.cwd,
                store=store,
                source=str(site.project.root / site.manifest.notebook),
                secrets=site.manifest.secrets,
            ),
            Fleet.alone(executor),
            journal,
            Disk(Outside(site.project.root, store.variable_digest).digest, site.project.root, store),
            Settings(
                params=params,
                seed=site.manifest.seed,
                secrets=site.manifest.secrets,
                selected=frozenset({ask.stage}),
                forced=frozenset({ask.stage} if ask.fresh else ()),
            ),
            champion=lambda name: _champion(site, name),
        )
        for name in (stage.name for stage in pipeline.stages if stage.name in given):
            engine.adopt(given[name])
        stops = {number: signal.signal(number, _stopper(engine)) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            status = engine.run()
        except BaseException:
            engine.abandon()
            raise
        finally:
            for number, handler in stops.items():
                signal.signal(number, handler)
        if ask.stage in engine.traces:
            curves = logged_in(journal.path.parent, ask.stage)
            return Entry(stage=ask.stage, trace=engine.traces[ask.stage], curves=curves)
        failure = engine.failure or Failure(code="interrupted", message="it was cancelled")
        return Entry(stage=ask.stage, status=status, failure=failure, exit_code=exit_code_of(status, engine))
    finally:
        executor.close()
        journal.close()


def _stopper(engine: Engine) -> Callable[[int, object], None]:
    def stop(number: int, _frame: object) -> None:
        engine.stopping = "kill" if engine.stopping and number == signal.SIGINT else engine.stopping or "ask"

    return stop


def _champion(site: Site, name: str) -> Mapping[str, float]:
    """Metrics of the champion. Raises UsageError where no registry is at hand: the check would let everything pass."""
    from nbpipe.tracking.registry import champion_metrics

    if site.scratch and not (os.environ.get("MLFLOW_TRACKING_URI") or os.environ.get("MLFLOW_REGISTRY_URI")):
        raise UsageError(
            f"the champion of '{name}' cannot be asked for: no model registry is named",
            name=name,
            fix="Set MLFLOW_TRACKING_URI on the workers.",
        )
    return champion_metrics(site.project.root, name)
