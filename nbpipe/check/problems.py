"""Every problem of a notebook that can be found without running it, not only the first.

The pipeline's own readers stop at the first error. Here each error is noted, the place it names is made harmless in a
copy, and the readers are asked again, until they are content or say something they have said before.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from nbpipe.dataflow.transform import statements
from nbpipe.errors import GrammarError, NbpipeError, NotebookError, PipelineError, UndefinedNameError
from nbpipe.model import Cell, Code, Notebook, Outline, Pipeline
from nbpipe.notebook.grammar import parse_cell
from nbpipe.notebook.reader import read_notebook
from nbpipe.notebook.stages import outline
from nbpipe.pipeline.extract import Observed, extract_outline

_MOST = 50
_WORD = re.compile(r"[^\W\d]\w*")


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, in notebook order, and the pipeline where nothing is."""

    problems: tuple[NbpipeError, ...] = ()
    pipeline: Pipeline | None = None
    #: The pipeline of what is sound in the notebook, for a drawing of it; not to be run.
    draft: Pipeline | None = None
    #: Its stages, where not even a draft can be made.
    outline: Outline | None = None


def find_problems(path: Path) -> Findings:
    """Read, sort and analyse the notebook at `path`. Raises nothing that a notebook can cause."""
    try:
        notebook = read_notebook(path)
    except NotebookError as error:
        return Findings(problems=(error,))
    return problems_of(notebook, path.parent)


def problems_of(notebook: Notebook, folder: Path, observed: Observed | None = None) -> Findings:
    """The same for a notebook that was read; `folder` is its own, where its modules lie, `observed` as in `extract`."""
    problems: list[NbpipeError] = []
    notebook = _readable(notebook, problems)
    found = _outline(notebook, problems)
    draft = _pipeline(found, folder, problems, observed) if found is not None else None
    problems.sort(key=lambda error: (error.cell or 0, error.line or 0))
    return Findings(problems=tuple(problems), pipeline=None if problems else draft, draft=draft, outline=found)


def _readable(notebook: Notebook, problems: list[NbpipeError]) -> Notebook:
    """The notebook without the cells whose magic line, tags or syntax cannot be read; each is a problem."""
    cells = []
    for cell in notebook.cells:
        kept = cell
        if cell.kind == "code":
            try:
                role = parse_cell(cell)
            except GrammarError as error:
                problems.append(error)
                kept = _emptied(cell)
            else:
                if role.role not in ("exploration", "skip"):
                    kept = _parsed(cell, role.code, role.name, problems)
        cells.append(kept)
    return msgspec.structs.replace(notebook, cells=tuple(cells))


def _parsed(cell: Cell, code: Code, stage: str, problems: list[NbpipeError]) -> Cell:
    try:
        statements(code)
    except PipelineError as error:
        error.stage, error.cell, error.line = stage or None, cell.number, code.line + (error.line or 1) - 1
        problems.append(error)
        head = cell.source.splitlines()[: code.line - 1]
        # Every word of it may be a name that it binds: what it was to give must not be missed below.
        names = sorted(word for word in set(_WORD.findall(code.body)) if not _is_keyword(word))
        return msgspec.structs.replace(cell, source="\n".join([*head, *(f"{name} = None" for name in names)]))
    return cell


def _outline(notebook: Notebook, problems: list[NbpipeError]) -> Outline | None:
    """The outline without the cells it cannot sort; None where nothing sound is left."""
    for _ in range(_MOST):
        try:
            return outline(notebook)
        except PipelineError as error:
            # A notebook whose only stages could not be read has a problem already, and that is not it.
            if error.cell is None and problems:
                return None
            problems.append(error)
            if error.cell is None:
                return None
            cells = (_emptied(cell) if cell.number == error.cell else cell for cell in notebook.cells)
            notebook = msgspec.structs.replace(notebook, cells=tuple(cells))
    return None


def _pipeline(found: Outline, folder: Path, problems: list[NbpipeError], observed: Observed | None) -> Pipeline | None:
    blamed = {error.cell for error in problems if isinstance(error, GrammarError)}
    hidden = {word for cell in found.notebook.cells if cell.number in blamed for word in _WORD.findall(cell.source)}
    for _ in range(_MOST):
        try:
            return extract_outline(found, folder, observed=observed)
        except UndefinedNameError as error:
            known = (error.code, error.name) in {(other.code, other.name) for other in problems}
            if error.name is None or known:
                return None
            if error.name not in hidden:
                problems.append(error)
            # Bound by setup, it is known everywhere and nobody's value.
            found = msgspec.structs.replace(found, setup=(*found.setup, Code(cell=0, body=f"{error.name} = None")))
        except PipelineError as error:
            seen = (str(error), error.cell) in {(str(other), other.cell) for other in problems}
            if not seen:
                problems.append(error)
            return None
    return None


def _emptied(cell: Cell) -> Cell:
    return msgspec.structs.replace(cell, source="", tags=(), metadata={})


def _is_keyword(word: str) -> bool:
    import keyword

    return keyword.iskeyword(word)
