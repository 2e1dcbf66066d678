"""The result of the analysis."""

from __future__ import annotations

import msgspec

from nbpipe.model import Edge, Snippet, Stage


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What the analysis found: stages in notebook order with their `flow` and `after` filled."""

    stages: tuple[Stage, ...]
    edges: tuple[Edge, ...] = ()
    snippets: tuple[Snippet, ...] = ()
    warnings: tuple[str, ...] = ()
