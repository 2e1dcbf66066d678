"""The analysis of an outline, remembered by its content: what did not change is not analysed again.

Cell by cell first: what a cell does follows from its text alone. Then for all of them: which stage gives what to which
follows from what the cells do, so an edit that changes a number or a text changes nothing there.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import msgspec

from nbpipe.dataflow import shelf
from nbpipe.dataflow.cells import Cells
from nbpipe.dataflow.flow import Flow, Linked
from nbpipe.dataflow.ordering import check_order
from nbpipe.model import Code, Notebook, Outline, Param

#: Outlines whose analysis is kept: a lab asks about the notebooks that are open, again and again.
MOST = 32
#: Bytes of a question from which on its answer is kept between processes: smaller ones are answered sooner than looked up.
LARGE = 1_000


def analysis(outline: Outline, params: tuple[Param, ...]) -> Flow:
    """As `analyze`, which is asked only where the cells, or the modules beside the notebook, are others than before.

    Raises what `analyze` raises; errors are not remembered.
    """
    folder = Path(outline.notebook.path).resolve().parent
    # The cells as they were sorted are all that counts: outputs, ids and counts of executions do not.
    bare = msgspec.structs.replace(outline, notebook=Notebook(path=str(folder / "notebook"), sha256="", cells=()))
    said = msgspec.json.encode(bare)
    # A module whose name no cell says is none that one imports; letters beyond ASCII may be another spelling of a name.
    near = tuple(name for name in _modules(folder) if not said.isascii() or name.encode() in said)
    return _analysis(_Question(bare, params, near, str(Path(outline.notebook.path).resolve())))


class _Question:
    """Equal to another one where the answers are the same."""

    __slots__ = ("_outside", "key", "outline", "params", "place")

    def __init__(self, outline: Outline, params: tuple[Param, ...], modules: tuple[str, ...], place: str) -> None:
        self.outline = outline
        self.params = params
        #: Under which the facts of its cells are kept; the answer does not depend on it.
        self.place = place
        # Values of parameters stand in the outline's own cells.
        self._outside = ([(param.name, param.type) for param in params], modules)
        self.key = msgspec.json.encode((outline, *self._outside))

    def beside(self, cells: Cells) -> bytes:
        """Equal to another one's where the same follows from the facts of the cells: all that counts but their texts."""
        outline = self.outline
        stages = [(each.name, each.kind, each.options, _places(each.cells)) for each in outline.stages]
        others = [_places(codes) for codes in (outline.params, outline.setup, outline.exploration)]
        asked = (outline.notebook.path, outline.mergeable, stages, others, self._outside, cells.digests())
        return msgspec.msgpack.encode(asked)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Question) and self.key == other.key


@functools.lru_cache(maxsize=MOST)
def _analysis(question: _Question) -> Flow:
    cells = Cells(question.outline, question.place if len(question.key) >= LARGE else None)
    check_order(question.outline.stages, cells.whole)
    cells.learn()
    return cells.filled(_linked(question, cells))


_results: dict[bytes, Linked] = {}


def _linked(question: _Question, cells: Cells) -> Linked:
    """The result without the code: the same as long as the cells do the same, whatever their text."""
    key = question.beside(cells)
    found = _results.pop(key, None)
    if found is None and len(question.key) >= LARGE:
        found = _kept(key)
    if found is None:
        found = _link(question, cells)
        if len(question.key) >= LARGE:
            shelf.keep("linked", key, msgspec.msgpack.encode(found))
    _results[key] = found
    while len(_results) > MOST:
        _results.pop(next(iter(_results)), None)
    return found


def _kept(key: bytes) -> Linked | None:
    data = shelf.look_up("linked", key)
    try:
        return msgspec.msgpack.decode(data, type=Linked) if data is not None else None
    except msgspec.MsgspecError:
        return None  # of a layout that nobody knows any more: it is found out anew


def _link(question: _Question, cells: Cells) -> Linked:
    # Not imported where the answer is known.
    from nbpipe.dataflow.graph import link

    return link(question.outline, question.params, cells)


def _places(codes: tuple[Code, ...]) -> list[tuple[int, int]]:
    return [(code.cell, code.line) for code in codes]


def _modules(folder: Path) -> tuple[str, ...]:
    """Names that an import may find beside the notebook."""
    try:
        with os.scandir(folder) as entries:
            found = {_module(entry) for entry in entries}
    except OSError:
        return ()
    return tuple(sorted(name for name in found if name.isidentifier()))


def _module(entry: os.DirEntry[str]) -> str:
    if entry.name.endswith(".py") and Path(entry).exists():
        return entry.name[: -len(".py")]
    return entry.name if entry.is_dir() else ""
