"""One attempt to run one stage: its folder, its specification, and what came of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import msgspec

from nbpipe.errors import EXIT_CODES
from nbpipe.job.folder import read_verdict, write_spec, write_whole
from nbpipe.job.leaks import scrub_dead
from nbpipe.model import Failure, JobSpec, Outcome, Pipeline, Stage, Status
from nbpipe.plan.key import DIST
from nbpipe.plan.resolve import Wanted
from nbpipe.run.checkpoints import checkpoints_of
from nbpipe.run.faults import fault
from nbpipe.store import Lease, Store
from nbpipe.tracking.spool import read_spool, stage_environment

WANTED = "wanted.json"


@dataclass
class Attempt:
    """A job that was submitted."""

    stage: Stage
    number: int
    folder: Path
    spec: JobSpec
    wanted: Wanted
    lease: Lease | None
    started: float
    handle: str = ""
    cancelled: bool = False
    #: The engine stopped it because it did not stop itself at its timeout.
    overdue: bool = False
    #: Seconds on the engine's clock after which the engine itself stops the job.
    deadline: float | None = None
    renewed: float = field(default=0.0)
    #: The target it runs on.
    on: str = "local"
    #: Stages above it that had not finished when it started.
    early: set[str] = field(default_factory=set)
    #: What came of it, once its job has ended.
    told: Outcome | None = None
    #: Those that ran then.
    beside: list[Attempt] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """Where a run's jobs lie and what they share."""

    run: str
    folder: Path
    project: Path
    cwd: Path
    store: Store
    #: The notebook that the run was made from, absolute.
    source: str = ""
    secrets: tuple[str, ...] = ()
    #: Names that a notebook's kernel waits for: stored where they can be.
    spare: tuple[str, ...] = ()
    #: Stages that run although a result is there: they begin anew.
    forced: frozenset[str] = frozenset()
    #: Whether stages go on at the cell that failed, where their target has kept the kernel.
    resume: bool = False


def prepare(
    place: Place,
    pipeline: Pipeline,
    stage: Stage,
    number: int,
    wanted: Wanted,
    champion: Mapping[str, float],
    *,
    token: str | None = None,
    ships: tuple[str, ...] = (),
) -> JobSpec:
    """Write the folder of an attempt and return its specification.

    `token` is that of an attempt which goes on somewhere, for a new one None; `ships` is what travels with it.
    """
    folder = job_folder(place, stage.name, number)
    folder.mkdir(parents=True, exist_ok=True)
    options = stage.options
    outputs = (*stage.flow.outputs, *(name for name in options.outputs or () if name not in stage.flow.outputs))
    spec = JobSpec(
        run=place.run,
        stage=stage.name,
        kind=stage.kind,
        attempt=number,
        token=token or uuid4().hex,
        cwd=str(place.cwd),
        project=str(place.project),
        source=place.source,
        store=place.store.location,
        params=wanted.params,
        snippets=wanted.snippets,
        setup=pipeline.setup,
        cells=stage.cells,
        inputs=wanted.inputs,
        ambient=wanted.ambient,
        outputs=outputs,
        spare=place.spare,
        dynamic=stage.flow.dynamic,
        seed=wanted.seed,
        metrics=options.metrics,
        thresholds=options.thresholds,
        known_metrics=wanted.metrics,
        champion=dict(champion),
        gpus=options.gpus,
        image=options.image or "",
        cpus=options.cpus,
        memory=options.memory,
        nproc=options.nproc or (1 if (options.nodes or 1) > 1 else None),
        nodes=options.nodes or 1,
        ships=ships,
        checkpoints=checkpoints_of(place.project, wanted, run=place.run if _begins_anew(place, stage) else ""),
        env=options.env,
        secrets=place.secrets,
        timeout=options.timeout,
        kernel=pipeline.kernel,
        tracking=stage_environment(folder),
        reads=options.reads,
        late=tuple(sorted(path for path, state in wanted.files.items() if state.late)),
        distributions={
            label.removeprefix(DIST): version for label, version in wanted.parts.items() if label.startswith(DIST)
        },
        declared=bool(options.reads or options.writes) or options.cache == "live",
    )
    # Read where the attempt outlived its run; without it nothing is adopted.
    write_whole(folder / WANTED, msgspec.json.encode({"key": wanted.key, "parts": wanted.parts}))
    fault("attempt.before_spec")
    write_spec(folder, spec)
    fault("attempt.after_spec")
    return spec


def _begins_anew(place: Place, stage: Stage) -> bool:
    """Whether no earlier run may have begun it: it goes on only where an attempt of this run has failed."""
    return stage.name in place.forced or stage.options.cache == "never"


def job_folder(place: Place, stage: str, number: int) -> Path:
    """Folder of an attempt; the name of a stage is a validated word."""
    return place.folder / "jobs" / f"{stage}.{number}"


def result(attempt: Attempt, store: Store, *, returncode: int | None) -> Outcome:
    """What came of an attempt whose process has ended: its verdict, with what its cells logged; or that it was lost."""
    found = read_verdict(attempt.folder, attempt.spec.token)
    if found is None:
        scrub_dead(attempt.folder, attempt.spec.secrets, os.environ)
        status, failure = _lost(attempt, returncode)
        return Outcome(
            stage=attempt.stage.name, attempt=attempt.number, token=attempt.spec.token, status=status, failure=failure
        )
    return with_logged(found, attempt.folder, store)


def with_logged(outcome: Outcome, folder: Path, store: Store) -> Outcome:
    """The outcome with the metrics and files that its cells logged. What the stage declares comes first, and wins."""
    logged = read_spool(folder)
    files = {name: store.objects.put_file(path) for name, path in logged.files.items()}
    metrics = outcome.metrics | {name: value for name, value in logged.metrics.items() if name not in outcome.metrics}
    return msgspec.structs.replace(outcome, metrics=metrics, logged={**outcome.logged, **files})


def _lost(attempt: Attempt, returncode: int | None) -> tuple[Status, Failure]:
    if attempt.overdue:
        why = f"it ran longer than its timeout of {attempt.spec.timeout:g} s"
        return "timeout", Failure(code="timeout", message=why, fix="Give it more time with --timeout.")
    if attempt.cancelled:
        return "cancelled", Failure(code="interrupted", message="it was cancelled")
    if returncode == EXIT_CODES["store"]:
        why = "the job had no room for its verdict: the disk that holds .nbpipe is full, or refuses writes"
        return "failed", Failure(code="store", message=why, fix="Free space there, then run again.")
    why = f"the job ended without a verdict (exit code {returncode})"
    return "lost", Failure(code="kernel-lost", message=why, fix="nbpipe logs shows what it printed last; run again.")
