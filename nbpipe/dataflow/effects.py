"""What a piece of code does to the names of the module scope: the facts, as the walk over the code collects them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

import msgspec


class Call(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A call of a plain name: which names stand behind its arguments, by position and keyword."""

    callee: str
    args: tuple[frozenset[str], ...]
    keywords: tuple[tuple[str, frozenset[str]], ...]


@dataclass
class Effects:
    """Names of the module scope that some code touches; the numbers are lines of the cell's body."""

    #: Read for sure, if the code runs to its end.
    reads: dict[str, int] = field(default_factory=dict)
    #: Perhaps read, or read where a missing name is caught.
    soft: dict[str, int] = field(default_factory=dict)
    #: Read in the body of a function, when that is called.
    late: dict[str, int] = field(default_factory=dict)
    #: Read by annotations while a definition is executed, unless `from __future__ import annotations` is on.
    annotated: dict[str, int] = field(default_factory=dict)
    binds: set[str] = field(default_factory=set)
    deletes: set[str] = field(default_factory=set)
    #: Bound or deleted on every way through the code that does not raise.
    certain: frozenset[str] = frozenset()
    #: Patterns of names that `%reset` and its like delete; "" for all.
    wiped: list[str] = field(default_factory=list)
    mutates: set[str] = field(default_factory=set)
    #: (target, sources): the target may hold what the sources hold.
    links: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    #: (target, call): the target is what a plain name returned.
    results: list[tuple[str, Call]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    stars: list[ast.ImportFrom] = field(default_factory=list)
    #: (root, dotted target, line) of attributes assigned, such as `pd.DataFrame.total`.
    patched: list[tuple[str, str, int]] = field(default_factory=list)
    #: Names declared `global` in a function and bound there.
    global_binds: set[str] = field(default_factory=set)
    dynamic: bool = False

    @property
    def touched(self) -> set[str]:
        """Every name that is read in some way."""
        return {*self.reads, *self.soft, *self.late}

    @property
    def written(self) -> set[str]:
        """Every name that may stand for something else afterwards."""
        return self.binds | self.deletes | self.mutates | self.global_binds


class CallEffects(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What calling a notebook function, or any method of a class, may do."""

    uses: frozenset[str]
    binds: frozenset[str]
    mutates: frozenset[str]
    params: tuple[str, ...]
    mutated_params: frozenset[str]
    #: Parameters and module names whose objects the result may hold.
    returned: frozenset[str]
    calls: tuple[Call, ...]
    dynamic: bool = False
