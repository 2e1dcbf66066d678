"""The analysis of an outline, remembered by its content: what did not change is not analysed again."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import msgspec

from nbpipe.dataflow import shelf
from nbpipe.dataflow.flow import Flow
from nbpipe.model import Notebook, Outline, Param

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
    return _analysis(_Question(bare, params, near))


class _Question:
    """Equal to another one where the answers are the same."""

    __slots__ = ("key", "outline", "params")

    def __init__(self, outline: Outline, params: tuple[Param, ...], modules: tuple[str, ...]) -> None:
        self.outline = outline
        self.params = params
        # Values of parameters stand in the outline's own cells.
        self.key = msgspec.json.encode((outline, [(param.name, param.type) for param in params], modules))

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Question) and self.key == other.key


@functools.lru_cache(maxsize=MOST)
def _analysis(question: _Question) -> Flow:
    if len(question.key) < LARGE:
        return _analyze(question)
    kept = shelf.look_up("flow", question.key)
    if kept is not None:
        try:
            return msgspec.msgpack.decode(kept, type=Flow)
        except msgspec.MsgspecError:
            pass  # of a layout that nobody knows any more: it is found out anew
    found = _analyze(question)
    shelf.keep("flow", question.key, msgspec.msgpack.encode(found))
    return found


def _analyze(question: _Question) -> Flow:
    # Not imported where the answer is known.
    from nbpipe.dataflow.graph import analyze

    return analyze(question.outline, question.params)


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
