"""Names that nothing gives: an error with its place and its fix, a warning, or nothing to say."""

from __future__ import annotations

import builtins
import re
from typing import TYPE_CHECKING, NoReturn

from nbpipe.errors import PipelineError, UndefinedNameError

if TYPE_CHECKING:
    from nbpipe.dataflow.reach import Reach, When

_KERNEL = frozenset(
    {"display", "get_ipython", "exit", "quit", "open", "__name__", "__file__", "__doc__", "__builtins__", "__builtin__"}
    | {"__annotations__", "__spec__", "__loader__", "__package__", "_dh"}
)
#: Names that are no definition's or class's own, and other names of those that are.
_OTHERS = frozenset(
    {"None", "True", "False", "Ellipsis", "NotImplemented", "__debug__", "EnvironmentError", "IOError"}
    | {"__name__", "__doc__", "__loader__", "__spec__", "__package__"}
)
#: What every Python of this version has. Not what somebody has put there in this process: a fresh kernel has none of it.
BUILTINS = _OTHERS | {
    name
    for name, value in vars(builtins).items()
    if type(value).__module__ == "_sitebuiltins"
    or (getattr(value, "__module__", "") in {"builtins", "_io", "io"} and getattr(value, "__name__", "") == name)
}
#: A cell of nothing but such a word is a magic, where no variable has that name.
_AUTOMAGIC = frozenset({"ls", "ll", "pwd", "who", "whos", "lsmagic", "hist", "history"})
#: Results of the cells before, which a stage has of its own cells.
_RECENT = re.compile(r"^(_{1,3}|_i{1,3})$")
#: Results by number: the numbers of a stage's kernel are not those of the notebook's.
_NUMBERED = re.compile(r"^(_i?\d+|Out|In|_oh|_ih)$")


def missing_name(walk: Reach, name: str, line: int, when: When) -> str | None:
    """Raise or warn where a name that nobody gives is read; the stage that may give it where code is dynamic."""
    if name in BUILTINS or name in _KERNEL or when == "perhaps":
        return None
    if name in _AUTOMAGIC and walk.at.line == 1 and walk.at.body.strip() == name:
        return None
    known, at = walk.known, walk.at.line + line - 1
    earlier = _NUMBERED.match(name) or (_RECENT.match(name) and walk.at is walk.stage.cells[0])
    if earlier and not known.alone:
        raise UndefinedNameError(
            f"uses '{name}', the result of a cell of another stage",
            stage=walk.name,
            cell=walk.at.cell,
            line=at,
            name=name,
            fix="Give that result a name, and use the name.",
        )
    if earlier or _RECENT.match(name):
        return None
    explored = known.explored.get(name)
    if when == "call" and explored is None:
        return None
    if known.dynamic:
        return known.dynamic
    if known.star or known.mergeable or (name in known.bound_in and when == "call"):
        known.warnings.append(
            f"stage '{walk.name}' (cell {walk.at.cell}, line {at}) uses '{name}', which nothing plainly gives"
        )
        return None
    if explored is not None:
        message = f"uses '{name}', which only an exploration cell computes (cell {explored})"
        fix = f"Add %%stage to cell {explored}, or move the line into a stage."
    elif name in walk.later:
        message = f"uses '{name}' before it is defined: stage '{walk.later[name]}' gives it further down"
        fix = f"Move the cell that binds '{name}' above this one."
    else:
        message = f"uses '{name}', which nothing above it gives"
        fix = f"Bind '{name}' in a stage above, in %%params or in %%setup."
    raise UndefinedNameError(message, stage=walk.name, cell=walk.at.cell, line=at, name=name, fix=fix)


def not_again(walk: Reach, ref: str, needed: str) -> NoReturn:
    """Raise for a definition that would not be the same if it were created once more in this stage."""
    snippet = walk.known.snippets[ref]
    raise PipelineError(
        f"uses '{snippet.names[0]}', which cannot be created again here: its definition (cell {snippet.cell}) depends on "
        f"'{needed}', which has changed since or is changed by it",
        stage=walk.name,
        cell=walk.at.cell,
        line=walk.at.line,
        name=snippet.names[0],
        fix=f"Put the definition of '{snippet.names[0]}' into the stage that uses it, or both into one stage.",
    )
