"""The notebook as it is now: its code, its defaults, the outputs that were saved in it. Nothing of it is executed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from blake3 import blake3

from nbpipe.history.difference.parameters import param_values
from nbpipe.history.difference.shape import Note, ParamValue, Side
from nbpipe.history.difference.sources import sources_of
from nbpipe.history.difference.view import Executed, Facts, Sources
from nbpipe.model import Artifact, FileState, Outcome
from nbpipe.notebook.reader import read_notebook
from nbpipe.notebook.stages import outline
from nbpipe.pipeline.contents import digest_file
from nbpipe.pipeline.extract import extract_outline
from nbpipe.run.project import Project, relative

if TYPE_CHECKING:
    from nbpipe.store.base import ObjectStore


class NotebookView:
    """A notebook on disk. Has code, parameters, an environment (this one) and saved outputs; neither metrics nor values."""

    def __init__(self, project: Project, path: Path, label: str) -> None:
        """Raise NotebookError or a PipelineError where it is not a pipeline that can be read."""
        self._project = project
        self._path = path
        self._notebook = read_notebook(path)
        self._pipeline = extract_outline(outline(self._notebook), path.parent)
        self.about = Side(
            label=label,
            kind="notebook",
            notebook=relative(path, project.root.resolve()),
            name=self._pipeline.name,
            version=self._pipeline.version,
            status="saved",
        )
        self.notes: list[Note] = []

    @cached_property
    def _sources(self) -> Sources:
        cells = {cell.number: cell.source for cell in self._notebook.cells}
        return sources_of(self._pipeline, cells, self._module)

    def sources(self) -> Sources:
        """Its code."""
        return self._sources

    def params(self) -> Mapping[str, ParamValue]:
        """The defaults."""
        values = {param.name: param.default for param in self._pipeline.params}
        return param_values(self._pipeline, values, ())

    def facts(self, stage: str) -> Facts:  # noqa: ARG002 - of no stage
        """Nothing: it has not run."""
        return Facts()

    def key_parts(self, stage: str) -> Mapping[str, str]:  # noqa: ARG002
        """Unknown without a plan."""
        return {}

    def outcome(self, stage: str) -> Outcome | None:  # noqa: ARG002
        """None."""
        return None

    def inputs(self, stage: str) -> Mapping[str, Artifact]:  # noqa: ARG002
        """None."""
        return {}

    def curves(self, stage: str) -> Mapping[str, Sequence[tuple[int, float]]]:  # noqa: ARG002
        """None."""
        return {}

    def executed(self, stage: str) -> Executed | None:
        """The outputs saved with the cells of the stage."""
        wanted = {code.cell for each in self._pipeline.stages if each.name == stage for code in each.cells}
        found = [{"cell": number, "outputs": outputs} for number, outputs in self._saved.items() if number in wanted]
        data = msgspec.json.encode(found)
        return Executed(blake3(data).hexdigest(), len(data), lambda: found) if found else None

    def environment(self) -> Mapping[str, Any]:
        """Of this process: what a run started now would record."""
        from nbpipe.tracking.environment import record

        return record(self._project.root, self._pipeline.distributions)

    def objects(self) -> ObjectStore | None:
        """None."""
        return None

    def file_now(self, path: str) -> FileState | None:
        """The file on disk; its digest is "" where there is none."""
        place = self._project.root / path
        size = place.stat().st_size if place.is_file() else 0
        return FileState(path=path, digest=digest_file(place), size=size)

    @cached_property
    def _saved(self) -> dict[int, list[dict[str, Any]]]:
        if self._notebook.format != "ipynb":
            return {}
        try:
            cells = json.loads(self._notebook.raw.decode("utf-8-sig")).get("cells", [])
        except (ValueError, AttributeError):
            return {}
        return {
            number: cell["outputs"]
            for number, cell in enumerate(cells, 1)
            if isinstance(cell, dict) and isinstance(cell.get("outputs"), list) and cell["outputs"]
        }

    def _module(self, path: str) -> str | None:
        try:
            return (self._path.parent / path).read_bytes().decode("utf-8", "replace")
        except OSError:
            return None
