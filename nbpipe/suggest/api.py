"""`suggest_notebook`: read, cut, tag, and make sure that the result extracts."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from nbpipe.errors import PipelineError, UsageError
from nbpipe.model import Cell, Notebook
from nbpipe.notebook.document import document
from nbpipe.notebook.grammar import parse_cell
from nbpipe.notebook.reader import parse_notebook, read_notebook
from nbpipe.suggest.joining import Joining
from nbpipe.suggest.look import look_at
from nbpipe.suggest.naming import unique
from nbpipe.suggest.segments import Segment, segment


class SuggestedStage(msgspec.Struct, frozen=True, kw_only=True):
    """One proposed stage and the numbers of its cells."""

    name: str
    cells: tuple[int, ...]
    why: str = ""


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A tagged copy and what was tagged; `left_out` are code cells that stay exploration."""

    notebook: bytes
    stages: tuple[SuggestedStage, ...]
    left_out: tuple[int, ...] = ()

    def tagged(self, notebook: Notebook) -> Notebook:
        """The tagged copy of `notebook`, read again; it stands where the notebook stands."""
        read = parse_notebook(self.notebook, str(Path(notebook.path).with_suffix(".ipynb")))
        return msgspec.structs.replace(read, path=notebook.path)


def suggest_notebook(path: Path, *, explore: bool = False) -> Suggestion:
    """Propose stages for the notebook at `path`.

    By default every code cell that does something ends in a stage; with `explore`, cells that only show something stay
    out. Raises NotebookError when it cannot be read, UsageError when it has stages already, PipelineError when it holds
    no code.
    """
    return suggest(read_notebook(path), explore=explore)


def suggest(notebook: Notebook, *, explore: bool = False) -> Suggestion:
    """The same for a notebook that was read."""
    from nbpipe.notebook.stages import outline
    from nbpipe.pipeline.extract import extract_outline

    _refuse_tagged(notebook)
    segments = segment([cell for cell in notebook.cells if _undecided(cell)])
    if not segments:
        raise PipelineError(
            "the notebook has no code cell that does something", name=notebook.path, fix="Write a cell first."
        )
    joining = Joining(segments)
    while True:
        suggestion = _tag(notebook, joining.segments, explore=explore)
        try:
            extract_outline(outline(suggestion.tagged(notebook)), Path(notebook.path).parent)
        except PipelineError as error:
            if len(joining.segments) == 1:
                raise
            joining.join(error)
        else:
            return suggestion


def _undecided(cell: Cell) -> bool:
    """Whether nobody has said yet what the cell is: parameters and setup stay what they are."""
    if cell.kind != "code":
        return True
    said = parse_cell(cell)
    return not said.magic and said.role in ("exploration", "skip")


def _refuse_tagged(notebook: Notebook) -> None:
    for cell in notebook.cells:
        tagged = any(tag.startswith(("stage:", "check:")) for tag in cell.tags)
        if cell.kind == "code" and (tagged or cell.source.lstrip().startswith(("%%stage", "%%check"))):
            raise UsageError("the notebook has stages already", cell=cell.number, fix="Run it: nbpipe run NOTEBOOK")


def _tag(notebook: Notebook, segments: list[Segment], *, explore: bool) -> Suggestion:
    names = unique(part.title for part in segments)
    stage_of = {number: name for part, name in zip(segments, names, strict=True) for number in part.cells}
    copy = document(notebook)
    left_out = []
    for cell, raw in zip(notebook.cells, copy["cells"], strict=True):
        name = stage_of.get(cell.number)
        if name is None:
            continue
        if explore and look_at(cell.source).only_shows:
            left_out.append(cell.number)
            continue
        metadata = raw.setdefault("metadata", {})
        metadata["tags"] = [*metadata.get("tags", []), f"stage:{name}"]
    copy.setdefault("metadata", {}).setdefault("nbpipe", {})["mergeable"] = True
    text = json.dumps(copy, indent=1, ensure_ascii=False)
    stages = tuple(SuggestedStage(name=n, cells=p.cells, why=p.why) for n, p in zip(names, segments, strict=True))
    return Suggestion(notebook=f"{text}\n".encode(), stages=stages, left_out=tuple(left_out))
