"""The error of a cell that ran elsewhere, as if it had been raised here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nbpipe.errors import StageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_C = rf"(?:{_ANSI.pattern})*"
#: The head of a frame: the number of its cell, and the function, where it is in one.
_HEAD = re.compile(rf"(Cell(?:{_ANSI.pattern}| )*In{_C}\[)(-?\d+)(\][^\n]*?line {_C}\d+(?:{_C},? *{_C}in {_C}(\w+))?)")


def raised(error: Mapping[str, Any], shell: Any, count: int) -> Exception:
    """An exception that shows the user's traceback; `count` is the number of the cell here.

    Its class is named as the one that was raised there. That one is not made again: it may be any class of any module.
    """
    name = str(error.get("ename") or "Error")
    kind = type(name if name.isidentifier() else "Error", (StageError,), {"__module__": "builtins"})
    made: Exception = kind(str(error.get("evalue") or ""))

    def numbered(head: re.Match[str]) -> str:
        own = count if not head[2].startswith("-") else cell_of(shell, shell.user_ns.get(head[4]))
        return f"{head[1]}{own if own is not None else head[2]}{head[3]}"

    lines = [_HEAD.sub(numbered, str(line)) for line in error.get("traceback") or ()]
    if str(shell.colors).lower() == "nocolor":
        lines = [_ANSI.sub("", line) for line in lines]
    vars(made)["_render_traceback_"] = lambda: lines or [f"{name}: {made}"]
    return made


def cell_of(shell: Any, function: Any) -> int | None:
    """The number of the cell in which a function was defined, as tracebacks show it; None where that is not known."""
    file = getattr(getattr(function, "__code__", None), "co_filename", "")
    return number_of(shell, file)


def number_of(shell: Any, file: str) -> int | None:
    """The number of the cell that was compiled under this name."""
    known: dict[str, int] = getattr(shell.compile, "_filename_map", {})
    return known.get(file)
