"""Which names of the namespace a cell may read: a quick guess from its words before it runs, the truth afterwards."""

from __future__ import annotations

import dis
import functools
import string
import types
from typing import TYPE_CHECKING, Any

from nbpipe.dataflow.transform import parse
from nbpipe.dataflow.walker import effects
from nbpipe.errors import PipelineError
from nbpipe.live.facts import NAMES, Fact, look

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nbpipe.dataflow.effects import Effects

#: Characters of a cell that are looked at before it runs.
_SCANNED = 10_000
#: Whatever stands between words in Python: translating and splitting takes a fifth of the time of an expression.
_BETWEEN = str.maketrans(dict.fromkeys(set(string.punctuation) - {"_"}, " "))
_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})


@functools.lru_cache(maxsize=256)
def words(body: str) -> tuple[str, ...]:
    """The words of the code, each once, in the order in which they stand."""
    return tuple(dict.fromkeys(body[:_SCANNED].translate(_BETWEEN).split()))


def facts_for(body: str, namespace: Mapping[str, Any]) -> dict[str, Fact]:
    """Facts of all names that the code may read, also through the notebook's own functions. Runs none of them."""
    names = [word for word in words(body) if word in namespace and word[0] != "_"][:NAMES]
    found = look(namespace, names)
    todo = [value.code for value in found.values() if value.code is not None]
    seen: set[types.CodeType] = set()
    while todo and len(found) < NAMES:
        code = todo.pop()
        if code in seen or not (code.co_filename.startswith("<ipython") or "ipykernel" in code.co_filename):
            continue
        seen.add(code)
        more = look(namespace, [name for name in code.co_names if name in namespace and name not in found])
        found |= more
        todo += [value.code for value in more.values() if value.code is not None]
        todo += [inner for inner in code.co_consts if type(inner) is types.CodeType]
    return found


@functools.lru_cache(maxsize=4096)
def effects_of(body: str) -> Effects | None:
    """What the code does to names; None where it is no Python that can be read."""
    try:
        return effects(parse(body).body)
    except (PipelineError, RecursionError):
        return None


def names_read(body: str, facts: Mapping[str, Fact]) -> set[str]:
    """Those of the facts' names that the code reads, itself or in the notebook's functions that it mentions."""
    found = effects_of(body)
    todo = list(facts) if found is None or found.dynamic else [name for name in found.touched if name in facts]
    read: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in read:
            read.add(name)
            code = facts[name].code
            if code is not None:
                todo += [other for other in globals_of(code) if other in facts]
    return read


def globals_of(code: types.CodeType) -> Iterator[str]:
    """Names that a function looks up in its module, functions inside it included."""
    for step in dis.get_instructions(code):
        if step.opname in _GLOBAL:
            yield step.argval
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from globals_of(inner)
