"""A cell with one piece of one line written otherwise."""

from __future__ import annotations

from nbpipe.check.findings import Action
from nbpipe.model import Notebook


def rewritten(notebook: Notebook, place: tuple[int, int], old: str, new: str, label: str) -> tuple[Action, ...]:
    """The action that writes `new` for `old`; none where `old` does not stand exactly once in the line at `place`.

    `place` is the cell and the line of the cell, both from 1.
    """
    number, line = place
    source = next((cell.source for cell in notebook.cells if cell.number == number), "")
    lines = source.split("\n")
    if not 1 <= line <= len(lines) or not old or lines[line - 1].count(old) != 1:
        return ()
    lines[line - 1] = lines[line - 1].replace(old, new)
    return (Action(kind="replace-source", label=label, cell=number, source="\n".join(lines)),)
