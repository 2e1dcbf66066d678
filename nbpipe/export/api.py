"""`export_notebook`: from a notebook to a folder that a scheduler is given."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nbpipe.credentials import values_of
from nbpipe.errors import ParameterError, UsageError
from nbpipe.export import options
from nbpipe.export.base import Definition, Deployment, Exporter
from nbpipe.export.cron import read_cron
from nbpipe.export.folder import Change, write
from nbpipe.export.graph import order_of
from nbpipe.export.manifest import BUNDLE, MANIFEST, Manifest
from nbpipe.export.page import CONSTRAINTS, PINNED, constraints, readme, requirements
from nbpipe.export.registry import exporter as find_exporter
from nbpipe.export.triggers import read_datasets, read_files
from nbpipe.export.types import latest_types
from nbpipe.model import Notebook, Param, Pipeline
from nbpipe.notebook.stages import outline
from nbpipe.pipeline.bundle import write_bundle
from nbpipe.pipeline.extract import extract_outline
from nbpipe.pipeline.params import resolve_params
from nbpipe.pipeline.secrets import secret_names
from nbpipe.run import merges
from nbpipe.run.project import Project, find_project, relative
from nbpipe.store import open_store


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """An export that was written."""

    folder: Path
    scheduler: str
    proof: str
    #: Relative to the folder.
    main: str
    changes: tuple[Change, ...]
    steps: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def export_notebook(  # noqa: PLR0913 - one per option of `nbpipe export`
    notebook: Notebook,
    *,
    to: str,
    out: Path | None = None,
    params: Mapping[str, Any] | None = None,
    profile: str | None = None,
    schedule: str | None = None,
    image: str | None = None,
    store: str | None = None,
    seed: int = 0,
    ci: bool = False,
    logical_date: str = "",
    trigger_files: Sequence[str] = (),
    trigger_datasets: Sequence[str] = (),
    fresh: bool = False,
    force: bool = False,
) -> Exported:
    """Write the pipeline of `notebook` for the scheduler `to` into the folder `out`.

    `params` and `profile` become the defaults of the deployment. Raises NbpipeError for a bad notebook, for what the
    scheduler cannot express, and for a file that would be lost (`force` writes over it); nothing is written then.
    The runs of a `fresh` one reuse nothing.
    """
    scheduler = find_exporter(to)
    path = Path(notebook.path)
    project = find_project(path)
    folder = (out if out is not None else default_folder(path, to)).absolute()
    deployment = deployment_of(
        notebook,
        to=to,
        out=folder,
        params=params,
        profile=profile,
        schedule=schedule,
        image=image,
        store=store,
        ci=ci,
        logical_date=logical_date,
        trigger_files=trigger_files,
        trigger_datasets=trigger_datasets,
    )
    definition = scheduler.definition(deployment)
    rebuilds = ("its runs reuse nothing (--fresh), unless NBPIPE_FRESH is 0",) if fresh else ()
    notes = (*_notes(scheduler, deployment), *rebuilds, *definition.notes)
    definition = msgspec.structs.replace(definition, notes=notes)
    changes = write(
        folder,
        _files(notebook, path.parent, scheduler, deployment, definition),
        Manifest(
            scheduler=to,
            pipeline=deployment.pipeline.name,
            version=deployment.pipeline.version,
            notebook=relative(path, project.root),
            project=deployment.project,
            store=deployment.store,
            params=deployment.given,
            seed=seed,
            fresh=fresh,
            order=deployment.order,
            secrets=deployment.secrets,
        ),
        force=force,
    )
    return Exported(
        folder=folder,
        scheduler=to,
        proof=scheduler.proof,
        main=definition.main,
        changes=changes,
        steps=definition.steps,
        notes=notes,
    )


def deployment_of(  # noqa: PLR0913 - as above
    notebook: Notebook,
    *,
    to: str,
    out: Path | None = None,
    params: Mapping[str, Any] | None = None,
    profile: str | None = None,
    schedule: str | None = None,
    image: str | None = None,
    store: str | None = None,
    ci: bool = False,
    logical_date: str = "",
    trigger_files: Sequence[str] = (),
    trigger_datasets: Sequence[str] = (),
) -> Deployment:
    """What the exporter for `to` is given. Raises NbpipeError as `export_notebook` does; writes nothing."""
    scheduler = find_exporter(to)
    path = Path(notebook.path)
    project = find_project(path)
    folder = (out if out is not None else default_folder(path, to)).absolute()
    if scheduler.remote and "://" not in (store or ""):
        raise UsageError(
            f"the stages of {scheduler.title} share no disk, so their results need a store with a URL",
            name="store",
            fix="Add --store s3://BUCKET/PATH, or another URL that fsspec knows.",
        )
    _refuse_unknown(store or "")
    if ci and not getattr(scheduler, "ci", False):
        raise UsageError(
            f"{scheduler.title} looks at no pull requests", name="ci", fix="Export --to github-actions --ci."
        )
    pipeline = _pipeline(notebook, project, store)
    values = resolve_params(_optional(pipeline.params), params or {}, profile, pipeline.profiles)
    secrets = secret_names(pipeline, path.parent)
    _refuse_secrets(values, secrets)
    _refuse_date(pipeline, logical_date)
    deployment = Deployment(
        pipeline=pipeline,
        order=order_of(pipeline),
        params=_settable(pipeline.params, values),
        given=values,
        schedule=read_cron(schedule) if schedule is not None else None,
        image=image or None,
        store=_place(store),
        project=_project(scheduler, project, folder),
        folder=Path(relative(folder, project.root)).as_posix(),
        secrets=secrets,
        notebook=relative(path, project.root),
        ci=ci,
        logical_date=logical_date,
        trigger_files=read_files(trigger_files, path.absolute().parent, project.root),
        trigger_datasets=read_datasets(trigger_datasets),
        types=latest_types(project, relative(path, project.root)) if getattr(scheduler, "typed", False) else {},
    )
    options.check(scheduler, deployment)
    return deployment


def default_folder(notebook: Path, to: str) -> Path:
    """`exports/NOTEBOOK-SCHEDULER` beside the notebook."""
    return notebook.parent / "exports" / f"{notebook.stem}-{to}"


def _pipeline(notebook: Notebook, project: Project, store: str | None) -> Pipeline:
    """The pipeline with every edge that earlier runs, here or in the store of the deployment, have shown."""
    places = [open_store(project.store)]
    if store and "://" not in store:
        places.append(open_store(store))

    def observed(code: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for place in places:
            for name, facts in place.hints.observed(code).items():
                found[name] = sorted({*found.get(name, ()), *facts})
        return found

    joined = merges.known(project, notebook)
    return extract_outline(outline(notebook), Path(notebook.path).parent, observed=observed, merges=joined)


def _optional(params: tuple[Param, ...]) -> tuple[Param, ...]:
    """The parameters, none of which has to have a value yet: it may come when a run is triggered."""
    return tuple(msgspec.structs.replace(param, required=False) for param in params)


def _settable(params: tuple[Param, ...], values: Mapping[str, Any]) -> tuple[Param, ...]:
    """Parameters with the values of the deployment. Those that the notebook computes are set only where they are given."""
    return tuple(
        msgspec.structs.replace(
            param, default=values.get(param.name, param.default), required=param.required and param.name not in values
        )
        for param in params
        if param.type != "computed"
    )


def _refuse_secrets(values: Mapping[str, Any], secrets: tuple[str, ...]) -> None:
    for name, given in values.items():
        for secret, hidden in values_of(secrets, os.environ).items():
            if hidden in str(given):
                raise ParameterError(
                    f"parameter '{name}' is given the value of the secret {secret}, and parameters are written down",
                    name=name,
                    fix=f'Read it in the code: nbpipe.secret("{secret}").',
                )


def _refuse_date(pipeline: Pipeline, name: str) -> None:
    """Raise ParameterError unless the parameter for the date is there, and is text."""
    if not name:
        return
    found = {param.name: param for param in pipeline.params}
    if name not in found or found[name].type != "str" or found[name].choices is not None:
        raise ParameterError(
            f"the date of a run is text, and '{name[:80]}' is no parameter of that type",
            name=name[:80],
            fix=f'Write it in the params cell: {name if name.isidentifier() else "day"}: str = "2026-01-31"',
        )


def _place(store: str | None) -> str:
    """A store as the exported folder names it: a URL as it is, a folder absolute."""
    if not store:
        return ""
    if "@" in store.partition("://")[2].partition("/")[0]:
        raise UsageError(
            "the URL of the store holds a password, and an export is written down",
            name="store",
            fix="Leave it out, and give it to the workers by environment.",
        )
    return store if "://" in store else str(Path(store).resolve())


def _project(scheduler: Exporter, project: Project, folder: Path) -> str | None:
    if scheduler.remote:
        return None
    return Path(os.path.relpath(project.root, folder.resolve())).as_posix()


def _refuse_unknown(store: str) -> None:
    """Raise UsageError for a URL that no worker can open. Whether the library for it is here does not matter."""
    protocol, is_url, _ = store.partition("://")
    if not is_url:
        return
    from fsspec import available_protocols

    unknown = next((name for name in protocol.split("::") if name not in available_protocols()), None)
    if unknown is not None:
        raise UsageError(
            f"the store {store} has a protocol that fsspec does not know: '{unknown}'",
            name="store",
            fix="Write, say, --store s3://BUCKET/PATH.",
        )


def _notes(scheduler: Exporter, deployment: Deployment) -> tuple[str, ...]:
    found = []
    if scheduler.proof == "validated":
        found.append(f"exports for {scheduler.title} are validated, not executed, in nbpipe's tests")
    computed = [param.name for param in deployment.pipeline.params if param.type == "computed"]
    if computed:
        found.append(f"{', '.join(computed)}: computed by the notebook, and not set when a run is triggered")
    for stage in deployment.stages:
        reads = sorted({*stage.options.reads, *stage.flow.file_reads})
        if scheduler.remote and reads:
            found.append(f"stage '{stage.name}' reads {', '.join(reads)}: it has to be in the image, or at a URL")
    return tuple(found)


def _files(
    notebook: Notebook, beside: Path, scheduler: Exporter, deployment: Deployment, definition: Definition
) -> dict[str, bytes]:
    """Everything in the folder but its manifest."""
    found = {path: text.encode() for path, text in definition.files.items()}
    found.setdefault("requirements.txt", requirements(deployment).encode())
    if PINNED.encode() in found["requirements.txt"]:
        found[CONSTRAINTS] = constraints(found["requirements.txt"].decode()).encode()
    found["README.md"] = readme(scheduler, deployment, definition).encode()
    with tempfile.TemporaryDirectory(prefix="nbpipe-export-") as scratch:
        bundle = write_bundle(deployment.pipeline, notebook, beside, Path(scratch) / BUNDLE)
        for file in sorted(bundle.rglob("*")):
            if file.is_file():
                found[f"{BUNDLE}/{file.relative_to(bundle).as_posix()}"] = file.read_bytes()
        if definition.modules:
            for file in sorted((bundle / "modules").rglob("*.py")):
                found.setdefault(file.relative_to(bundle / "modules").as_posix(), file.read_bytes())
    if MANIFEST in found:
        raise UsageError(f"{MANIFEST} is the export's own", name=MANIFEST)
    return found
