"""Promoting what a run made to an alias of the model registry, and rolling back."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from nbpipe.errors import StoreError, UsageError
from nbpipe.model import Artifact
from nbpipe.notebook.quantities import did_you_mean
from nbpipe.tracking.aliases import CHAMPION, Change, Model, earlier, read_alias
from nbpipe.tracking.environment import user
from nbpipe.tracking.models import Models, open_models
from nbpipe.tracking.recorded import RecordedRun, RecordedStage, read_run


def promote(
    project: Path,
    folder: Path,
    *,
    alias: str = CHAMPION,
    stage: str | None = None,
    model: str | None = None,
    name: str | None = None,
    why: str = "",
    force: bool = False,
) -> tuple[str, Change]:
    """Let `alias` name the model that the run in `folder` made; the registered model's name and what changed.

    `stage` says which, where the run registers several. `model` and `name` register a variable of that stage that the
    notebook does not register. Raises UsageError where that cannot be, StoreError where the registry cannot be asked.
    """
    alias = _alias(alias)
    if name is not None and (not name.strip() or "/" in name or ":" in name):
        raise UsageError(
            f"{name[:40]!r} cannot be the name of a model", name=name[:40], fix="It has no / and no :, such as digits."
        )
    run = _recorded(folder, project)
    if run.status != "succeeded" and not (force and run.status != "running"):
        fix = "Wait for its end." if run.status == "running" else "Look at it: nbpipe show; or promote it with --force."
        raise UsageError(f"{folder.name} is {run.status}, and only runs that succeeded are promoted", fix=fix)
    made, variable, registered = _asked(run, stage, model, name)
    artifact = made.outcome.outputs.get(variable) if made.outcome is not None else None
    if artifact is None or not artifact.objects:
        what = f"stage '{made.name}' of {folder.name} left no '{variable}' in the store"
        raise UsageError(what, name=variable, fix="Run it again with nbpipe run --fresh, then promote that run.")
    models = open_models(project)
    found = models.get(registered)
    version = _version(found, artifact)
    if version is None:
        from nbpipe.tracking.deliver import register_stored

        version = register_stored(folder, project, stage=made.name, model=variable, registered=registered)
        models = open_models(project)
        found = models.get(registered)
    before = found.aliases.get(alias, "") if found is not None else ""
    return registered, _moved(models, registered, alias, version, before, how="promote", why=why, run=folder.name)


def rollback(project: Path, name: str, *, alias: str = CHAMPION, to: str | None = None, why: str = "") -> Change:
    """Let `alias` name the version it named before, or the version `to`; what changed.

    Raises UsageError where there is nothing to go back to, StoreError where the registry cannot be asked.
    """
    alias = _alias(alias)
    models = open_models(project)
    model = models.get(name)
    if model is None:
        raise UsageError(f"there is no registered model '{name}'", name=name, fix="List them: nbpipe models")
    now = model.aliases.get(alias, "")
    target = to.removeprefix("v") if to is not None else earlier(model, alias)
    if target is None or model.version(target) is None:
        what = f"'{name}' has no version {to}" if to is not None else f"'{alias}' of '{name}' has named nothing before"
        known = ", ".join(item.version for item in model.versions) or "none"
        raise UsageError(what, name=name, fix=f"Name a version with --to; there are: {known}.")
    if target == now:
        raise UsageError(f"'{alias}' of '{name}' names version {now} already", name=name, fix=f"nbpipe models {name}")
    run = next(item.run for item in model.versions if item.version == target)
    return _moved(models, name, alias, target, now, how="rollback", why=why, run=run)


def _recorded(folder: Path, project: Path) -> RecordedRun:
    try:
        return read_run(folder, project)
    except (OSError, msgspec.MsgspecError) as error:
        what = f"what {folder.name} was cannot be read: {error}"
        raise StoreError(
            what, name=folder.name, fix=f"Look at it: nbpipe show {folder.name}; or run it again."
        ) from error


def _moved(models: Models, name: str, alias: str, version: str, before: str, *, how: str, why: str, run: str) -> Change:
    change = Change(
        alias=alias,
        version=version,
        at=time.time(),
        how="rollback" if how == "rollback" else "promote",
        before=before,
        by=user(),
        why=why,
        run=run,
    )
    models.move(name, change)
    return change


def _alias(text: str) -> str:
    try:
        return read_alias(text)
    except ValueError as error:
        raise UsageError(str(error), name=text[:40], fix="Write, say, --as champion.") from None


def _version(found: Model | None, artifact: Artifact) -> str | None:
    """The version that holds this very value, if it is registered."""
    versions = found.versions if found is not None else ()
    return next((item.version for item in reversed(versions) if item.digest == artifact.digest), None)


def _asked(run: RecordedRun, stage: str | None, model: str | None, name: str | None) -> tuple[RecordedStage, str, str]:
    """Stage, variable and registered name of the model to promote. Raises UsageError."""
    options = {item.name: item.options for item in run.pipeline.stages} if run.pipeline else {}
    stages = [item for item in run.stages if stage in (None, item.name)]
    if stage is not None and not stages:
        names = ", ".join(item.name for item in run.stages) or "none"
        raise UsageError(f"{run.folder.name} has no result of a stage '{stage}'", name=stage, fix=f"Stages: {names}")
    found: list[tuple[RecordedStage, str, str]] = []
    for item in stages:
        asked = options.get(item.name)
        variable = model or (asked.model if asked else None)
        registered = name or (asked.register if asked else None)
        gives = model is None or (item.outcome is not None and model in item.outcome.outputs)
        if variable and registered and gives:
            found.append((item, variable, registered))
    if len(found) == 1 or (found and model is not None):
        # A value passed on unchanged is an output of several stages: the last one that has it counts.
        return found[-1]
    if found:
        names = ", ".join(item.name for item, _, _ in found)
        raise UsageError(f"{run.folder.name} registers several models", fix=f"Say which with --stage: {names}")
    values = sorted({key for item in stages if item.outcome is not None for key in item.outcome.outputs})
    if model is not None and model not in values:
        fix = did_you_mean(model, values) or f"It left: {', '.join(values) or 'nothing'}."
        where = f"stage '{stage}' of {run.folder.name}" if stage is not None else run.folder.name
        raise UsageError(f"{where} left no variable '{model}'", name=model, fix=fix)
    raise UsageError(
        f"{run.folder.name} registers no model",
        fix="Name what to register, --model VARIABLE --register NAME, here or on the %%stage line.",
    )
