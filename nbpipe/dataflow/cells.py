"""The cells of an outline and what is known of them: facts by content, none of them found out twice.

What one process found out is kept for the next in one file per notebook, on the shelf: never trusted over content.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from blake3 import blake3

from nbpipe.dataflow import shelf
from nbpipe.dataflow.flow import Flow, Linked
from nbpipe.errors import PipelineError
from nbpipe.model import Code, Outline, Stage

if TYPE_CHECKING:
    from nbpipe.dataflow.facts import Facts, Role

#: Cells of which a process remembers the facts; with one more than that all go.
MOST = 20_000


class Part(NamedTuple):
    """A cell, the role in which it is asked, the stage it belongs to, and its number among all that are analysed."""

    code: Code
    role: Role
    stage: str | None
    number: int
    key: bytes


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a cell: the digest of its facts, the facts, and its statements' texts, which decide nothing."""

    digest: bytes
    facts: msgspec.Raw
    texts: tuple[str, ...] = ()


#: Of a cell that is not run, or that is allowed to fail, and is no Python: it does nothing.
_NOTHING = _Kept(b"", msgspec.Raw(b"\x90"))
_KEPT = msgspec.msgpack.Decoder(dict[bytes, _Kept])
#: Equal facts give equal bytes, in every process.
_BYTES = msgspec.msgpack.Encoder(order="deterministic")

_known: dict[bytes, _Kept] = {}
_facts: dict[bytes, Facts] = {}


class Cells:
    """The cells of an outline, by role and in the order in which they are read.

    Responsibilities: facts by content, from this process, from the shelf, or made now. Must not know what they are for.
    """

    def __init__(self, outline: Outline, place: str | None = None) -> None:
        """`place` names the notebook whose facts are kept on the shelf; without it none are."""
        self._outline = outline
        self._place = place
        self._shelved: dict[bytes, _Kept] | None = None
        self._found: dict[bytes, _Kept] = {}
        self._all: list[Part] = []
        self.params = [self._part(code, "params") for code in outline.params]
        self.setup = [self._part(code, "setup") for code in outline.setup]
        self.stages = [[self._part(code, "stage", stage.name) for code in stage.cells] for stage in outline.stages]
        self.exploration = [self._part(code, "explored") for code in outline.exploration]

    def learn(self) -> None:
        """Know all cells. Raises PipelineError for one that is not Python, with its stage, its cell and the line."""
        with _uncollected():
            self._learn_all()
        if self._shelved is not None and self._place is not None and self._found.keys() != self._shelved.keys():
            shelf.keep("facts", _name(self._place), msgspec.msgpack.encode(self._found))

    def _learn_all(self) -> None:
        for part in self._all:
            try:
                self._learn(part)
            except PipelineError as error:
                if part.role == "explored" or part.code.may_raise:
                    self._found[part.key] = _NOTHING
                    continue
                error.stage, error.cell = part.stage, part.code.cell
                error.line = part.code.line + (error.line or 1) - 1
                raise

    def digests(self) -> list[bytes]:
        """Of what each cell does: all that decides about the result, but for the cells' places."""
        return [self._found[part.key].digest for part in self._all]

    def facts(self, part: Part) -> Facts:
        """What a cell does. It has to be known."""
        found = _facts.get(part.key)
        if found is None:
            found = _facts[part.key] = self._read(part)
        return found

    def _read(self, part: Part) -> Facts:
        from nbpipe.dataflow.facts import Facts

        try:
            return msgspec.msgpack.decode(self._found[part.key].facts, type=Facts)
        except msgspec.MsgspecError:  # nobody knows what was kept: it is found out anew
            self._found[part.key] = _known[part.key] = _make(part)
            return _facts[part.key]

    def whole(self, code: Code) -> Facts:
        """What the statements of a cell do together. Raises PipelineError with the line in the cell's code alone."""
        part = Part(code, "whole", None, -1, _key(code, "whole"))
        try:
            self._learn(part)
        except PipelineError:
            if not code.may_raise:
                raise
            self._found[part.key] = _NOTHING
        return self.facts(part)

    def filled(self, linked: Linked) -> Flow:
        """The result, with the code of these cells."""
        stages = (
            Stage(name=cells.name, kind=cells.kind, cells=cells.cells, options=cells.options, after=after, flow=flow)
            for cells, (flow, after) in zip(self._outline.stages, linked.flows, strict=True)
        )
        snippets = (
            item if origin is None else msgspec.structs.replace(item, source=self._text(*origin))
            for item, origin in zip(linked.snippets, linked.origins, strict=True)
        )
        return Flow(stages=tuple(stages), edges=linked.edges, snippets=tuple(snippets), warnings=linked.warnings)

    def _text(self, number: int, statement: int) -> str:
        return self._found[self._all[number].key].texts[statement]

    def _part(self, code: Code, role: Role, stage: str | None = None) -> Part:
        self._all.append(Part(code, role, stage, len(self._all), _key(code, role)))
        return self._all[-1]

    def _learn(self, part: Part) -> None:
        found = self._found.get(part.key) or _known.get(part.key)
        if found is None:
            if self._shelved is None:
                self._shelved = _look_up(self._place)
            if len(_known) >= MOST:
                _known.clear()
                _facts.clear()
            found = _known[part.key] = self._shelved.get(part.key) or _make(part)
        self._found[part.key] = found


@contextmanager
def _uncollected() -> Iterator[None]:
    """Trees of code have many nodes and no cycles: looking for some again and again would take longer than reading them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _make(part: Part) -> _Kept:
    # Not imported where the answer is known.
    from nbpipe.dataflow.facts import cell_facts

    made = cell_facts(part.role, part.code.body)
    _facts[part.key] = made.facts
    try:
        data = _BYTES.encode(made.facts)
    except UnicodeEncodeError:
        # Of a path that is no text: equal to nothing else, and found out anew by a process that needs it.
        return _Kept(os.urandom(blake3.digest_size), msgspec.Raw(b"\xc0"), made.texts)
    return _Kept(blake3(data).digest(), msgspec.Raw(data), made.texts)


def _look_up(place: str | None) -> dict[bytes, _Kept]:
    data = shelf.look_up("facts", _name(place)) if place is not None else None
    try:
        return _KEPT.decode(data) if data is not None else {}
    except msgspec.MsgspecError:
        return {}  # of a layout that nobody knows any more


def _key(code: Code, role: Role) -> bytes:
    # What is no Python does nothing where it may fail, and is an error everywhere else.
    return blake3(f"{role} {code.may_raise}\n{code.body}".encode("utf-8", "surrogatepass")).digest()


def _name(place: str) -> bytes:
    return os.fsencode(place)
