"""What a cell is in the pipeline: its magic line, its tags or its metadata, read without running anything."""

from __future__ import annotations

import io
import re
import tokenize
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from nbpipe.errors import GrammarError
from nbpipe.model import Cell, Code, Options, Value
from nbpipe.notebook.line import MAGICS, MagicLine, Role, magic_word, parse_line
from nbpipe.notebook.options import build, check_supported, join
from nbpipe.notebook.quantities import shown
from nbpipe.notebook.tags import Tagged, read_tags

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["CellRole", "MagicLine", "Role", "check_supported", "find_magic", "parse_cell", "parse_line"]

_OURS = re.compile(r"\s*%%(?:params|setup|stage|check)(?!\S)")
_ANY_LINE = re.compile(r"%(?:load_ext|reload_ext)\s+nbpipe\s*(?:#.*)?|%nbpipe(?:\s.*)?")


class CellRole(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What a cell is in the pipeline."""

    #: "continue" is an untagged cell of a notebook with Kale's tags: it belongs to the step above it.
    role: Role
    name: str = ""
    options: Options = Options()
    #: Option values that were written, by field of `options`.
    given: dict[str, Any] = msgspec.field(default_factory=dict)
    code: Code
    #: The magic line as written; "" where tags say it, or nothing does.
    magic: str = ""
    warnings: tuple[str, ...] = ()


def parse_cell(cell: Cell, *, kale: bool = False) -> CellRole:
    """What a code cell is, from its magic line, its tags, or `metadata.nbpipe`.

    Raises `GrammarError` with cell and line.

    `kale`: the notebook uses Kale's tags, so that an untagged cell continues the step above it.
    """
    with _at(cell):
        found = find_magic(cell.source)
        tagged = read_tags(cell, kale=kale)
    magic, index, body = found or ("", -1, cell.source)
    code = Code(cell=cell.number, body=body, line=index + 2, may_raise="raises-exception" in cell.tags)
    if magic:
        with _at(cell, index + 1):
            return _from_magic(cell, code, magic, tagged)
    if tagged.role is None and is_idle(cell.source):
        return CellRole(role="skip", code=code, warnings=tagged.warnings)
    with _at(cell):
        return CellRole(
            role=tagged.role or ("continue" if kale else "exploration"),
            name=tagged.name,
            options=build(tagged.given),
            given=tagged.given,
            code=code,
            warnings=(*tagged.warnings, *_near_miss(cell)),
        )


def _from_magic(cell: Cell, code: Code, magic: str, tagged: Tagged) -> CellRole:
    said = parse_line(magic)
    given = said.given
    warnings = tagged.warnings
    if tagged.role is None or (tagged.role, tagged.name) == (said.role, said.name):
        if said.role not in ("stage", "check") and tagged.given:
            raise GrammarError(
                f"%%{said.role} has no options, but the cell's tags give some", fix="Take those tags off."
            )
        given = join(said.given, tagged.given)
    elif tagged.source == "tags":
        raise GrammarError(
            f"the line {shown(magic)} and the cell's tags ({', '.join(cell.tags)}) say different things",
            fix="Take the tag off, or the magic line.",
        )
    else:
        warnings = (*warnings, f"cell {cell.number}: metadata.nbpipe contradicts its line {magic}; the line counts")
    return CellRole(
        role=said.role, name=said.name, options=build(given), given=given, code=code, magic=magic, warnings=warnings
    )


def find_magic(source: str) -> tuple[str, int, str] | None:
    """The nbpipe magic line of a cell, its index and the body below it; None when the cell has none.

    Blank lines may stand above it, as IPython allows. Raises `GrammarError` where the line stands lower or indented:
    IPython would not take it for a cell magic, and the cell would silently fall out of the pipeline.
    """
    if "%%" not in source:
        return None
    lines = source.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    found = magic_word(lines[first]) in MAGICS
    if found and source.count("%%") == 1:
        return lines[first].rstrip(), first, "\n".join(lines[first + 1 :])
    for index in range(first + 1 if found else first, len(lines)):
        if not _OURS.match(lines[index]):
            continue
        below_other = not found and index > first and magic_word(lines[first]) is not None
        if below_other and any(line.strip() for line in lines[first + 1 : index]):
            return None
        if below_other or not _inside_string(lines[first + found : index]):
            raise _misplaced(lines, first, index, second=found)
    return (lines[first].rstrip(), first, "\n".join(lines[first + 1 :])) if found else None


def is_idle(source: str) -> bool:
    """Whether a cell only has `%load_ext nbpipe` and `%nbpipe ...` lines, beside comments and blank lines."""
    lines = [line.strip() for line in source.split("\n")]
    lines = [line for line in lines if line and not line.startswith("#")]
    return bool(lines) and all(_ANY_LINE.fullmatch(line) for line in lines)


def _misplaced(lines: list[str], first: int, index: int, *, second: bool) -> GrammarError:
    if second:
        fix = "A cell has one such line: split the cell."
    elif index > first and magic_word(lines[first]):
        fix = f"Put it above %%{magic_word(lines[first])}, which may stand right below it."
    else:
        fix = "Move it to the first line, at the left margin; comments go below it."
    return GrammarError(f"{lines[index].split()[0]} must be the first line of its cell", line=index + 1, fix=fix)


def _inside_string(above: list[str]) -> bool:
    """Whether the line that follows these begins inside a triple-quoted string."""
    # Shell and magic lines are not Python: their quotes mean nothing here.
    python = "".join("\n" if line.lstrip().startswith(("!", "%")) else line + "\n" for line in above)
    try:
        for _ in tokenize.generate_tokens(io.StringIO(python).readline):
            pass
    except tokenize.TokenError as error:
        return "multi-line string" in str(error) or "triple-quoted" in str(error)
    except SyntaxError:
        return False
    return False


def _near_miss(cell: Cell) -> tuple[str, ...]:
    word = magic_word(cell.source.lstrip()) or ""
    from difflib import get_close_matches

    close = get_close_matches(word.lower(), MAGICS, n=1, cutoff=0.85)
    return (f"cell {cell.number}: %%{word} is not part of the pipeline; did you mean %%{close[0]}?",) if close else ()


@contextmanager
def _at(cell: Cell, line: int | None = None) -> Iterator[None]:
    """Give an error from inside its cell, and its line where that is known here."""
    try:
        yield
    except GrammarError as error:
        error.cell = cell.number
        error.line = line or error.line
        raise
