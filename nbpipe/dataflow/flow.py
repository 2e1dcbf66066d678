"""The result of the analysis."""

from __future__ import annotations

import msgspec

from nbpipe.model import Edge, Snippet, Stage, StageFlow


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What the analysis found: stages in notebook order with their `flow` and `after` filled."""

    stages: tuple[Stage, ...]
    edges: tuple[Edge, ...] = ()
    snippets: tuple[Snippet, ...] = ()
    warnings: tuple[str, ...] = ()


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """The same without the code: equal for notebooks whose cells do the same to the same names."""

    #: Of each stage, in notebook order, its `flow` and `after`.
    flows: tuple[tuple[StageFlow, tuple[str, ...]], ...]
    edges: tuple[Edge, ...]
    snippets: tuple[Snippet, ...]
    #: Cell, by its place among all that are analysed, and statement that each snippet's text is to be taken from, if any.
    origins: tuple[tuple[int, int] | None, ...]
    warnings: tuple[str, ...]
