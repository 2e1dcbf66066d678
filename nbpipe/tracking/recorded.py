"""A run as its folder records it, for delivery. Reads files only; what is not there stays empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.errors import StoreError
from nbpipe.model import Event, Outcome, Pipeline
from nbpipe.store import Store, open_store


class RecordedStage(msgspec.Struct, kw_only=True):
    """One stage that ran or was reused. Times are seconds since the epoch."""

    name: str
    kind: str = "stage"
    status: str = "running"
    attempt: int = 0
    started: float = 0.0
    ended: float = 0.0
    reasons: tuple[str, ...] = ()
    #: Run whose result was reused.
    source: str = ""
    #: Id under which the store has a result that a scheduler's own process has made; it has no job folder here.
    made: str = ""
    key: str = ""
    #: Why it did not succeed, one line; already redacted.
    failure: str = ""
    metrics: dict[str, float] = {}
    #: Stages that went on in the kernel of a failed attempt, of those that its result rests on and itself.
    continued: tuple[str, ...] = ()
    #: Job folder of the last attempt; None for a reused stage.
    folder: Path | None = None
    #: Folder of the job that gave its outcome, in this run or in the one it is reused from; None where it is gone.
    origin: Path | None = None
    outcome: Outcome | None = None


class RecordedRun(msgspec.Struct, kw_only=True):
    """A run and its stages, in the order in which they were reached."""

    folder: Path
    store: Store
    #: `run.json` as it stands.
    fields: dict[str, Any]
    stages: tuple[RecordedStage, ...] = ()
    pipeline: Pipeline | None = None
    status: str = "running"
    started: float = 0.0
    ended: float = 0.0

    @property
    def executed(self) -> Path | None:
        """The executed notebook, once it is written."""
        return next(iter(sorted(self.folder.glob("*.ipynb"))), None)


def read_run(run_dir: Path, project: Path) -> RecordedRun:
    """Read the folder of a run. Raises OSError or msgspec.MsgspecError when `run.json` or the bundle cannot be read."""
    fields = msgspec.json.decode((run_dir / "run.json").read_bytes(), type=dict[str, Any])
    store = open_store(fields.get("store") or project / ".nbpipe" / "store")
    bundle = run_dir / "bundle" / "pipeline.json"
    run = RecordedRun(folder=run_dir, store=store, fields=fields, status=str(fields.get("status", "running")))
    run.pipeline = msgspec.json.decode(bundle.read_bytes(), type=Pipeline) if bundle.exists() else None
    stages: dict[str, RecordedStage] = {}
    for event in _events(run_dir / "journal.jsonl"):
        run.started = run.started or event.time
        run.ended = event.time
        if event.kind == "run-finished":
            run.status = str(event.data.get("status", run.status))
        elif event.stage and event.kind.startswith("stage-"):
            _apply(stages, event)
    kinds = {stage.name: stage.kind for stage in run.pipeline.stages} if run.pipeline else {}
    for stage in stages.values():
        if stage.status == "running" and run.status != "running":
            stage.status = "interrupted"
        stage.kind = kinds.get(stage.name, stage.kind)
        folder = run_dir / "jobs" / f"{stage.name}.{stage.attempt}"
        stage.folder = folder if stage.status != "cached" and folder.is_dir() else None
        stage.outcome = _verdict(stage.folder) if stage.folder else None
        stage.outcome = stage.outcome or _stored(store, stage)
        stage.origin = stage.folder or _origin(run_dir.parent, stage)
    run.stages = tuple(stages.values())
    return run


def _apply(stages: dict[str, RecordedStage], event: Event) -> None:
    data: Mapping[str, Any] = event.data
    if event.kind in {"stage-skipped", "stage-superseded"}:
        stages.pop(event.stage, None)
        return
    stage = stages.setdefault(event.stage, RecordedStage(name=event.stage, started=event.time))
    stage.ended = event.time
    stage.attempt = event.attempt or stage.attempt
    stage.metrics = dict(data.get("metrics", stage.metrics))
    stage.key = str(data.get("key", stage.key))
    if event.kind == "stage-started":
        stage.status, stage.source, stage.failure = "running", "", ""
        stage.reasons = tuple(data.get("reasons", ()))
    elif event.kind == "stage-cached":
        stage.status, stage.source = "cached", str(data.get("source", ""))
    elif event.kind == "stage-succeeded":
        stage.status, stage.continued = "succeeded", tuple(data.get("continued", ()))
        stage.made = str(data.get("made", ""))
        if stage.made:
            # It ran before it was recorded.
            stage.started = stage.ended - float(data.get("seconds", 0.0))
    elif event.kind == "stage-ended":
        stage.status = str(data.get("status", "failed"))
        stage.failure = str((data.get("failure") or {}).get("message", ""))


def _events(path: Path) -> Iterator[Event]:
    """Whole lines only: a crash may have cut the last one."""
    data = path.read_bytes() if path.exists() else b""
    for line in data.split(b"\n")[:-1]:
        try:
            yield msgspec.json.decode(line, type=Event)
        except msgspec.MsgspecError:
            return


def _verdict(folder: Path) -> Outcome | None:
    path = folder / "verdict.json"
    if not path.exists():
        return None
    return msgspec.json.decode(path.read_bytes(), type=Outcome)


def _stored(store: Store, stage: RecordedStage) -> Outcome | None:
    """The result that was reused, or made elsewhere; None when it has been collected since, or cannot be trusted."""
    made = stage.source or stage.made
    if not stage.key or not made:
        return None
    try:
        found = store.traces.lookup(stage.key)
    except StoreError:
        return None
    return next((trace.outcome for trace in found if trace.run == made), None)


def _origin(runs: Path, stage: RecordedStage) -> Path | None:
    """The job that made a reused result, as long as its run is there."""
    if stage.outcome is None or "/" in stage.source or not stage.source:
        return None
    folders = sorted((runs / stage.source / "jobs").glob(f"{stage.name}.*"), reverse=True)
    made = ((folder, _verdict(folder)) for folder in folders)
    return next((folder for folder, found in made if found is not None and found.token == stage.outcome.token), None)
