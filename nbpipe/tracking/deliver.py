"""Delivers runs to MLflow. `python -m nbpipe.tracking.deliver PROJECT` delivers what is pending, alone and unhurried.

Killed anywhere and started again, nothing is there twice: see `projection`.
"""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.errors import StoreError
from nbpipe.model import Artifact, FileState
from nbpipe.tracking import artifacts, outbox, registry
from nbpipe.tracking.mlflow import artifact_root, client
from nbpipe.tracking.notes import read_ends, read_notes
from nbpipe.tracking.projection import Projection, project_tag
from nbpipe.tracking.recorded import RecordedRun, RecordedStage, read_run
from nbpipe.tracking.spool import Dataset, Point, Spooled, read_spool
from nbpipe.tracking.sweeps import below_sweep
from nbpipe.tracking.trials import deliver_trial

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
#: Seconds after which a delivery gives up; the next run tries again.
_PATIENCE = 600.0


def deliver(run_dir: Path, project: Path) -> tuple[Projection, RecordedRun, str]:
    """Make MLflow show this run as its folder records it; where, what, and the id of its MLflow run.

    Raises what MLflow raises when it is down.
    """
    run = read_run(run_dir, project)
    fields = run.fields
    mlflow = client(project)
    started = float(fields.get("created") or run.started or time.time())
    shown = Projection(mlflow, str(fields.get("notebook") or fields.get("name") or "notebook"), artifact_root(project))
    name = str(fields.get("id") or run_dir.name)
    identity = {"nbpipe.run_id": name, "nbpipe.project": project_tag(project), "nbpipe.created": f"{started:.6f}"}
    # A worker may have died as it delivered this: its folder, its project and that time are gone.
    ends = read_ends(run_dir)
    known = {"nbpipe.scheduled": ends} if ends else identity
    tags = {**identity, **_source_tags(run), "nbpipe.status": run.status}
    parent = shown.run(name, {**known, "nbpipe.kind": "run"}, tags, started=started)
    above = below_sweep(shown, run_dir, project_tag(project), ended=float(fields.get("ended") or run.ended or started))
    shown.log(parent, tags={**read_notes(run_dir).tags, **above})
    shown.log(parent, params=fields.get("params", {}))
    with tempfile.TemporaryDirectory(prefix="nbpipe-") as folder:
        scratch = Path(folder)
        for stage in run.stages:
            _stage(shown, run, stage, parent, (known, identity), scratch)
        for at, path in artifacts.of_run(run, scratch):
            shown.file(parent, path, at)
        if run.status == "succeeded":
            _models(shown, run, parent, scratch)
    shown.end(parent, run.status, float(fields.get("ended") or run.ended or started))
    return shown, run, parent


def register_stored(run_dir: Path, project: Path, *, stage: str, model: str, registered: str) -> str:
    """Register a value that a stage left, whatever came of the run; the version, made only if it is not there.

    Waits while another process delivers. Raises StoreError when MLflow is down or refuses.
    """
    from mlflow.exceptions import MlflowException

    box = project / ".nbpipe" / "outbox"
    box.mkdir(parents=True, exist_ok=True)
    with _locked(box / "deliver.lock", wait=True), tempfile.TemporaryDirectory(prefix="nbpipe-") as folder:
        try:
            shown, run, parent = deliver(run_dir, project)
            found = next(item for item in run.stages if item.name == stage)
            return _register(shown, run, found, model, registered, parent, Path(folder))
        except (MlflowException, OSError) as error:
            fix = "Check MLFLOW_TRACKING_URI and that the server is up, then try again."
            raise StoreError(f"'{registered}' cannot be registered: {error}", name=registered, fix=fix) from error


def _stage(
    shown: Projection,
    run: RecordedRun,
    stage: RecordedStage,
    parent: str,
    names: tuple[dict[str, str], dict[str, str]],
    scratch: Path,
) -> None:
    """`names` are the tags by which the run is found, and all that say which it is."""
    known, identity = names
    spooled = read_spool(stage.origin) if stage.origin else Spooled()
    tags = {
        **identity,
        "nbpipe.status": stage.status,
        "nbpipe.version": str(run.fields.get("version", "")),
        **spooled.tags,
    }
    if stage.reasons:
        tags["nbpipe.reason"] = "; ".join(stage.reasons)
    if stage.failure:
        tags["nbpipe.failure"] = stage.failure
    if stage.source:
        tags["nbpipe.cached_from"] = stage.source
    if stage.attempt:
        tags["nbpipe.attempt"] = str(stage.attempt)
    if stage.continued:
        tags["nbpipe.continued"] = ", ".join(stage.continued)
    own = {**known, "nbpipe.kind": stage.kind, "nbpipe.stage": stage.name, "mlflow.parentRunId": parent}
    child = shown.run(f"{identity['nbpipe.run_id']}/{stage.name}", own, tags, started=stage.started)
    finals = {**(stage.outcome.metrics if stage.outcome else {}), **stage.metrics}
    end = int(stage.ended * 1000)
    curves = {name: (Point(end, float(value)),) for name, value in finals.items()}
    shown.log(child, params=_params(run, stage) | spooled.params, metrics={**curves, **spooled.curves})
    # The parent shows each metric of its stages, so that runs compare in one table.
    shown.log(parent, metrics=curves)
    read = [_read(state) for state in stage.outcome.files_read if state.digest] if stage.outcome else []
    shown.inputs(child, (*read, *spooled.datasets))
    for at, path in artifacts.of_stage(stage, spooled, run.store, scratch):
        shown.file(child, path, at)
    shown.end(child, stage.status, stage.ended)


def _read(state: FileState) -> Dataset:
    """A file that was read: name and digest; its contents are not looked at."""
    return Dataset(
        name=state.path,
        digest=state.digest,
        source=msgspec.json.encode({"uri": state.path}).decode(),
        profile=msgspec.json.encode({"bytes": state.size}).decode(),
        context="read",
    )


def _params(run: RecordedRun, stage: RecordedStage) -> dict[str, Any]:
    """The parameters that the stage's code reaches; all of the run's when the bundle does not say."""
    params: dict[str, Any] = run.fields.get("params", {})
    for found in run.pipeline.stages if run.pipeline else ():
        if found.name == stage.name:
            return {name: value for name, value in params.items() if name in found.flow.params}
    return dict(params)


def _models(shown: Projection, run: RecordedRun, parent: str, scratch: Path) -> None:
    """Register what `--model NAME --register REG` asks for, once per value: a reused model is the same version."""
    options = {stage.name: stage.options for stage in run.pipeline.stages} if run.pipeline else {}
    for stage in run.stages:
        asked = options.get(stage.name)
        if asked is None or not asked.model or not asked.register or stage.outcome is None:
            continue
        artifact = stage.outcome.outputs.get(asked.model)
        if artifact is not None and artifact.objects:
            _register(shown, run, stage, asked.model, asked.register, parent, scratch)


def _register(
    shown: Projection,
    run: RecordedRun,
    stage: RecordedStage,
    model: str,
    registered: str,
    parent: str,
    scratch: Path,
) -> str:
    """The version of `registered` that holds this value of the stage; made if there is none."""
    if stage.outcome is None:
        raise StoreError(f"the result of stage '{stage.name}' is not in the store any more", stage=stage.name)
    artifact = stage.outcome.outputs[model]
    at = f"model/{model}"
    for path in _model_files(run, artifact, scratch / at):
        shown.file(parent, path, at)
    version = registry.register(
        shown.client,
        registered,
        run_id=parent,
        source=f"{shown.client.get_run(parent).info.artifact_uri}/{at}",
        tags={
            "nbpipe.run_id": str(run.fields.get("id") or run.folder.name),
            "nbpipe.stage": stage.name,
            "nbpipe.digest": artifact.digest,
        },
    )
    shown.log(parent, tags={f"nbpipe.model.{registered}": version})
    return version


def _model_files(run: RecordedRun, artifact: Artifact, folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    about = folder / "artifact.json"
    about.write_bytes(msgspec.json.format(msgspec.json.encode(artifact)))
    yield about
    for digest in artifact.objects:
        path = folder / digest
        path.write_bytes(run.store.objects.get_bytes(digest))
        yield path


def _source_tags(run: RecordedRun) -> dict[str, str]:
    tags = {
        "nbpipe.version": str(run.fields.get("version", "")),
        "nbpipe.number": str(run.fields.get("number", "")),
        "nbpipe.seed": str(run.fields.get("seed", 0)),
        "nbpipe.profile": str(run.fields.get("profile") or ""),
        "mlflow.source.name": str(run.fields.get("notebook", "")),
        "mlflow.source.type": "NOTEBOOK",
    }
    path = run.folder / "environment.json"
    if path.exists():
        made = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        tags["mlflow.user"] = str(made.get("user", ""))
        tags["nbpipe.host"] = str(made.get("host", ""))
        if "git" in made:
            tags["mlflow.source.git.commit"] = str(made["git"].get("commit", ""))
            tags["mlflow.source.git.branch"] = str(made["git"].get("branch", ""))
    return {name: text for name, text in tags.items() if text}


def deliver_pending(project: Path, *, patience: float = _PATIENCE) -> bool:
    """Deliver all that is pending; while something fails, again after longer and longer pauses, for `patience` seconds.

    Returns whether nothing is left. One process per project delivers. A second waits for its turn; a third has nothing
    to add, the second will see its run.
    """
    box = project / ".nbpipe" / "outbox"
    box.mkdir(parents=True, exist_ok=True)
    with _locked(box / "next.lock", wait=False) as second:
        if not second:
            return False
        with _locked(box / "deliver.lock", wait=True):
            fcntl.flock(second, fcntl.LOCK_UN)
            return _until_empty(project, patience)


def _until_empty(project: Path, patience: float) -> bool:
    end, pause = time.monotonic() + patience, _FIRST_PAUSE
    while waiting := outbox.pending(project):
        failed = False
        for run_dir in waiting:
            note = outbox.note_of(run_dir)
            noted = note.stat().st_mtime_ns
            try:
                # A run whose folder was removed has nothing to show; nor has a trial whose file was.
                if outbox.is_trial(run_dir):
                    deliver_trial(run_dir, project)
                elif run_dir.is_dir():
                    deliver(run_dir, project)
            except Exception as error:  # noqa: BLE001  whatever MLflow or its database raises, the run stays pending
                failed = True
                (note.parent / outbox.FAILED).touch()
                print(f"{_now()} {run_dir.name}: {type(error).__name__}: {error}", flush=True)  # noqa: T201
                if os.environ.get("NBPIPE_DEBUG"):
                    traceback.print_exc()
                if not _answers(project):
                    break
            else:
                # A run that was resumed meanwhile is noted anew, and delivered again.
                if note.stat().st_mtime_ns == noted:
                    note.unlink()
        if failed:
            if time.monotonic() + pause > end:
                return False
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
    (project / ".nbpipe" / "outbox" / outbox.FAILED).unlink(missing_ok=True)
    return True


def _answers(project: Path) -> bool:
    """MLflow is up: what failed was the run's own matter, the next may succeed."""
    try:
        client(project).search_experiments(max_results=1)
    except Exception:  # noqa: BLE001  the failure that led here is already in the log
        return False
    return True


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[int | None]:
    """The lock's descriptor, held until the end; None when it is taken and `wait` is false."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield handle
    finally:
        os.close(handle)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def main(arguments: list[str]) -> int:
    """Deliver what is pending in the project named by the first argument; 0 when nothing is left."""
    project = Path(arguments[0]).resolve()
    os.chdir(project)
    os.nice(10)
    return 0 if deliver_pending(project) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
