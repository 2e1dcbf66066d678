"""A run reads the file. Whoever starts one means what the editor shows: the two are compared before anything is started.

A shared document is saved by the server, a moment after the last edit of anybody; and another program may have written the
file. A run of other code than the one that is looked at would look like a run of it.
"""

from __future__ import annotations

import time
from itertools import zip_longest
from pathlib import Path
from typing import Any

from nbpipe.errors import NotebookError
from nbpipe.model import Cell, Notebook
from nbpipe.notebook.reader import TEXT_SUFFIXES, read_notebook
from nbpipe.server.asking import StartQuestion
from nbpipe.server.notebooks import Asked, brings_content, notebook_of
from nbpipe.server.refusals import Refused

#: Seconds for which a save that is under way is waited for. Shared documents are saved a second after the last edit.
PATIENCE = 4.0
_PAUSE = 0.05


def wait_until_saved(asked: Asked[StartQuestion]) -> None:
    """Return once the file has the cells that the question brings; at once where it brings none.

    Raises Refused with `not-saved` if it still has others in the end, NotebookError if either cannot be read.
    """
    if not brings_content(asked.question):
        return
    file = asked.place.file
    shown = _parts(notebook_of(asked), file)
    until = time.monotonic() + PATIENCE
    while True:
        other = _differs(shown, file)
        if not other:
            return
        if time.monotonic() > until:
            raise Refused(
                409,
                "not-saved",
                f"{asked.place.path} on the disk is not what the editor shows ({other}): nothing was started",
                fix="Save it, or load it again from the disk; then run it.",
                name=asked.place.path,
            )
        time.sleep(_PAUSE)


def _differs(shown: list[Any], file: Path) -> str:
    """What the file has otherwise; "" for nothing."""
    try:
        saved = _parts(read_notebook(file), file)
    except NotebookError as error:  # it may be in the middle of being written
        return error.message
    pairs = enumerate(zip_longest(shown, saved))
    return next((f"cell {number}" if number else "its settings" for number, (a, b) in pairs if a != b), "")


def _parts(notebook: Notebook, file: Path) -> list[Any]:
    """What makes the pipeline: what the notebook says of itself, then its cells. Not outputs, nor ids."""
    # A text notebook has neither spaces around its cells nor empty ones.
    is_text = file.suffix in TEXT_SUFFIXES
    cells = [_cell(cell, is_text=is_text) for cell in notebook.cells]
    return [notebook.metadata.get("nbpipe"), *(cell for cell in cells if cell[1] or not is_text)]


def _cell(cell: Cell, *, is_text: bool) -> tuple[Any, ...]:
    source = cell.source.strip() if is_text else cell.source
    return cell.kind, source, cell.tags, cell.metadata.get("nbpipe")
