"""All stages of an exported pipeline on this machine, as `nbpipe run` runs a notebook: for schedulers that are only a clock."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from nbpipe.errors import PipelineError
from nbpipe.executors.fleet import Fleet
from nbpipe.executors.local import LocalExecutor
from nbpipe.history.logs import read_logs
from nbpipe.history.notes import tag
from nbpipe.model import Event
from nbpipe.run.abandoned import abandoned
from nbpipe.run.drive import Drive
from nbpipe.run.outcome import RunResult
from nbpipe.run.recovery import recover
from nbpipe.run.settings import Settings
from nbpipe.run.uptodate import up_to_date
from nbpipe.stage.finish import notebook_of
from nbpipe.stage.packages import refuse_others
from nbpipe.stage.pipelines import observed
from nbpipe.stage.site import Site
from nbpipe.store import Store
from nbpipe.tracking import outbox


def run_whole(site: Site, store: Store, params: Mapping[str, Any], *, label: str, fresh: bool = False) -> int:
    """Run the pipeline as it was exported; the exit code is that of `nbpipe run`.

    What prevents a run raises NbpipeError.
    """
    refuse_others(site.pipeline, site.pipeline.stages)
    pipeline = observed(site.pipeline, store)
    notebook = notebook_of(site)
    names = frozenset(stage.name for stage in pipeline.stages)
    settings = Settings(
        params=params, seed=site.manifest.seed, secrets=site.manifest.secrets, forced=names if fresh else frozenset()
    )
    if abandoned(site.project):
        recover(site.project, store)
    same = up_to_date(pipeline, site.project, store, settings, notebook)
    if same is not None:
        _say(f"up to date ({same.id})")
        return 0
    executor = LocalExecutor()
    drive = Drive(site.project, store, notebook, seed=settings.seed, listener=lambda event: _tell(event, drive))
    try:
        result = drive.go(pipeline, settings, Fleet.alone(executor))
    finally:
        drive.close()
        executor.close()
    if not isinstance(result, RunResult):
        raise PipelineError("stages would have to be joined", fix="Run it with nbpipe run once, then export again.")
    tag(drive.folder, {"scheduler": site.manifest.scheduler, "scheduler_run": label})
    outbox.flush(site.project.root, wait=site.scratch)
    if result.failure is not None:
        _say(f"{result.run} {result.status}: {result.failure.message}")
        if result.failure.fix:
            _say(result.failure.fix)
    else:
        _say(f"{result.run} {result.status}")
    return result.exit_code


def _tell(event: Event, drive: Drive) -> None:
    """A line for each stage that starts or ends, and what it printed."""
    if event.kind == "stage-cached":
        _say(f"'{event.stage}' is reused, from {event.data.get('source')}")
    elif event.kind == "stage-started":
        _say(f"'{event.stage}' runs: {'; '.join(event.data.get('reasons', ()))}")
    elif event.kind in ("stage-succeeded", "stage-ended", "stage-retry"):
        for piece in read_logs(drive.folder, event.stage):
            if piece.attempt == event.attempt:
                sys.stdout.write(piece.text)
        _say(f"'{event.stage}' {event.kind.removeprefix('stage-')}")
    elif event.kind == "warning":
        _say(f"warning: {event.data.get('text')}")


def _say(text: str) -> None:
    sys.stdout.write(f"nbpipe: {text}\n")
    sys.stdout.flush()
