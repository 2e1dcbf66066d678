"""What a run was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Effective parameter values, seed, and which stages take part."""

    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    #: Names of the secrets that the code asks for.
    secrets: tuple[str, ...] = ()
    #: How many jobs run at once; None for as many as the executor has processors.
    jobs: int | None = None
    #: Stages that are run even if a result is there.
    forced: frozenset[str] = frozenset()
    #: Stages that take part; None for all.
    selected: frozenset[str] | None = None
    #: Whether stages go on at the cell that failed, in the kernel that their target has kept.
    resume: bool = False
    #: Stages that must come from the cache.
    cached_only: frozenset[str] = frozenset()
