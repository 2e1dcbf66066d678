"""A cell as the kernel shall run it: the magic line becomes a comment, everything else stays as in a plain cell.

Line numbers, displayed outputs, other magics, top-level await and tracebacks are IPython's own.
Pure: text in, text out.
"""

from __future__ import annotations

import ast
import functools
import re
from typing import TYPE_CHECKING

from nbpipe.errors import GrammarError
from nbpipe.live.elsewhere.call import CODE
from nbpipe.live.place import LOCAL, runs_here
from nbpipe.notebook.grammar import check_supported, find_magic, parse_line
from nbpipe.notebook.line import MAGICS, magic_word
from nbpipe.pipeline.params import TYPING_NAMES

if TYPE_CHECKING:
    from collections.abc import Container

    from nbpipe.notebook.grammar import MagicLine

#: Empty lines, then the blanks before the first word.
_FIRST = re.compile(r"(?:\s*\n)?([^\S\n]*)")


def read_cell(source: str) -> tuple[MagicLine, int, str] | None:
    """What the magic line of a cell says, its index, and the body; None for any other cell.

    Raises `GrammarError`, or `UnsupportedError` for what this version cannot honour, with the line. A cell is read several
    times while it runs: one whose first line is the only magic, as in most, costs next to nothing.
    """
    head, _, body = source.partition("\n")
    plain = "%%" not in body and magic_word(head) in MAGICS
    found = (head.rstrip(), 0, body) if plain else find_magic(source)
    if found is None:
        return None
    magic, index, body = found
    try:
        said = _said(magic)
    except GrammarError as error:
        error.line = index + 1
        raise
    return said, index, body


@functools.lru_cache(maxsize=256)
def _said(magic: str) -> MagicLine:
    """What the line says; of a cell that is edited and run again it is mostly the same."""
    return parse_line(magic)


def transform_lines(lines: list[str], bound: Container[str], place: str = LOCAL) -> list[str]:
    """As `transform`, of the lines with their ends that IPython passes on."""
    source = "".join(lines)
    if "%%" not in source:
        return lines
    found = read_cell(source)
    if found is not None and not runs_here(found[0], place):
        return [CODE]
    if found is not None:
        check_supported(found[0].options, found[0].name, None, kind=LOCAL)
    if found is not None and found[1] == 0 and found[0].role in ("stage", "check"):
        said, _, body = found
        # A body that begins at the left margin with no magic of its own stays as it is.
        if body[:1].strip() not in ("", "%"):
            return [f"# %%{said.role} {said.name}\n", *lines[1:]]
    *whole, rest = transform(source, bound).split("\n")
    changed = [line + "\n" for line in whole]
    return [*changed, rest] if rest else changed


def transform(source: str, bound: Container[str]) -> str:
    """The code of a cell that runs here as IPython shall see it. `bound`: names that the namespace has. Raises as `read_cell`."""
    found = read_cell(source)
    if found is None:
        return source
    said, index, body = found
    if said.role == "profile":
        hint = f"nbpipe: profile {said.name!r} is for runs; %nbpipe profile {said.name} applies it here"
        return "#\n" * index + f"print({hint!r})\n"
    if magic_word(body.lstrip()):
        return body
    head = f"# %%{said.role} {said.name}".rstrip()
    if said.role == "params" and (names := _typing_names(body, bound)):
        head = f"from typing import {', '.join(names)}  {head}"
    return "#\n" * index + f"{_indent(body)}{head}\n{body}"


def _indent(body: str) -> str:
    """The indentation of the body's first line: IPython takes off what the first line of a cell has."""
    found = _FIRST.match(body)
    return found[1] if found is not None else ""


def _typing_names(body: str, bound: Container[str]) -> list[str]:
    """Names of `typing` that the annotations use and nothing has bound."""
    try:
        nodes = list(ast.walk(ast.parse(body)))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return []
    own = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {
        (a.asname or a.name) for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) for a in node.names
    }
    used = {
        name.id
        for node in nodes
        if isinstance(node, ast.AnnAssign)
        for name in ast.walk(node.annotation)
        if isinstance(name, ast.Name)
    }
    return [name for name in TYPING_NAMES if name in used and name not in own and name not in bound]
