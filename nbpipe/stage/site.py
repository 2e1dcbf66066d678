"""Where a stage of an exported pipeline runs: in the project, or in an empty folder laid out from the bundle."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from nbpipe.errors import PipelineError, UsageError
from nbpipe.export import manifest as manifests
from nbpipe.export.manifest import BUNDLE, Manifest
from nbpipe.model import Pipeline
from nbpipe.pipeline.bundle import read_bundle
from nbpipe.pipeline.contents import source_digest
from nbpipe.run.project import Project
from nbpipe.stage.scratch import scratch_folder


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """An exported pipeline, and the folders its stages see."""

    manifest: Manifest
    pipeline: Pipeline
    project: Project
    #: Folder in which the code runs: the notebook's, in the project.
    cwd: Path
    #: The notebook as it was exported.
    notebook: Path
    #: The project is a folder made for this process.
    scratch: bool

    @property
    def store(self) -> str:
        """Location of the store: NBPIPE_STORE, else the deployment's, else the project's own."""
        return os.environ.get("NBPIPE_STORE") or self.manifest.store or self.project.store


@contextmanager
def site_of(folder: Path, project: str | None) -> Iterator[Site]:
    """The exported pipeline in `folder`. `project` is a folder, wherever the export thought it to be.

    Raises UsageError or PipelineError where something of it is not there, or is not what was exported.
    """
    manifest = manifests.read(folder)
    if manifest is None:
        raise UsageError(
            f"{folder} is no exported pipeline", name=str(folder), fix="Name the folder with its manifest."
        )
    pipeline = read_bundle(folder / BUNDLE)
    if pipeline.version != manifest.version:
        raise PipelineError("the bundle is not the one of the manifest", name=str(folder), fix="Export again.")
    # Stages cannot be joined any more where each is a process of a scheduler.
    pipeline = msgspec.structs.replace(pipeline, mergeable=False)
    source = next(iter(sorted((folder / BUNDLE).glob("notebook.*"))), folder / BUNDLE / "notebook.ipynb")
    where = project or os.environ.get("NBPIPE_PROJECT") or manifest.project
    if where is not None:
        root = (folder / where).resolve()
        cwd = (root / manifest.notebook).parent
        if not cwd.is_dir():
            raise UsageError(
                f"the project is not at {root}", name=str(root), fix="Say where it is: --project or NBPIPE_PROJECT."
            )
        _compare(pipeline, cwd)
        yield Site(manifest=manifest, pipeline=pipeline, project=Project(root), cwd=cwd, notebook=source, scratch=False)
        return
    with scratch_folder() as root:
        cwd = Path(os.path.normpath((root / manifest.notebook).parent))
        if not cwd.is_relative_to(root):
            raise UsageError(f"{manifest.notebook} does not lie in a project", name=manifest.notebook)
        cwd.mkdir(parents=True, exist_ok=True)
        _lay_out(pipeline, folder / BUNDLE / "modules", cwd, root)
        yield Site(manifest=manifest, pipeline=pipeline, project=Project(root), cwd=cwd, notebook=source, scratch=True)


def _compare(pipeline: Pipeline, cwd: Path) -> None:
    """Raise PipelineError for a local module that is not as it was exported: the stages would import it."""
    for path, digest in sorted(set(pipeline.modules.values())):
        file = cwd / path
        if not file.is_file() or source_digest(file.read_bytes()) != digest:
            raise PipelineError(
                f"{path} in the project is not as it was exported",
                name=path,
                fix="Export again, or check it out again.",
            )


def _lay_out(pipeline: Pipeline, modules: Path, cwd: Path, root: Path) -> None:
    """Put the local modules where the notebook imports them from."""
    for path, _ in sorted(set(pipeline.modules.values())):
        copy = modules / (Path(path).name if path.startswith("..") else path)
        target = Path(os.path.normpath(cwd / path))
        if not target.is_relative_to(root) or not copy.resolve().is_relative_to(modules.resolve()):
            raise PipelineError(f"the module {path} does not lie in the project", name=path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(copy, target)
