"""What a cell's statements do, as plain facts: found out in one walk, after which nobody needs the tree any more.

Facts depend on the cell's text and its role alone: not on its place, nor on what the other cells say.
"""

from __future__ import annotations

import ast
from typing import Any, Literal

import msgspec

from nbpipe.dataflow import hints
from nbpipe.dataflow.anew import made_anew
from nbpipe.dataflow.effects import Call
from nbpipe.dataflow.roots import dotted
from nbpipe.dataflow.snippets import Definition, config_magic, defined, modules_of
from nbpipe.dataflow.transform import parse, to_python
from nbpipe.dataflow.untagged import plainly_changed
from nbpipe.dataflow.walker import effects, effects_and_nodes

#: What is asked of a cell; "whole" is what its statements do together.
Role = Literal["stage", "params", "setup", "explored", "whole"]
#: (name, line of the body) of names, in the order in which they are read.
Lines = tuple[tuple[str, int], ...]
#: Fields that are those of `Effects`, as tuples; and those of `hints.Hints`.
_LINES = ("reads", "soft", "annotated", "late")
_LISTS = ("calls", "results", "patched", "wiped")
_HINTS = ("file_reads", "file_writes", "sets", "uses")
_BEHAVIOUR = frozenset({"property", "classmethod", "staticmethod"})


class Star(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A `from x import *`, which may stand inside a statement."""

    line: int
    column: int
    modules: tuple[str, ...]
    text: str
    importing: str


class Statement(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One top-level statement. Lines are those of the cell's body; tuples of names are sorted unless said otherwise."""

    #: Its number in the cell, from 0.
    place: int
    line: int
    column: int
    #: The line on which its decorators begin.
    first: int
    reads: Lines = ()
    soft: Lines = ()
    annotated: Lines = ()
    late: Lines = ()
    #: Every name that it binds or deletes, and whether it surely does.
    binds: tuple[tuple[str, bool], ...] = ()
    #: Of those, the ones that it binds where it stands.
    bound: tuple[str, ...] = ()
    #: False for `a += 1`, behind which `a` may be what it was.
    rebinds: bool = True
    mutates: tuple[str, ...] = ()
    #: Changed in place, and read as well: what they stood for before they are bound anew is changed.
    changed_first: Lines = ()
    calls: tuple[Call, ...] = ()
    links: tuple[tuple[str, tuple[str, ...]], ...] = ()
    results: tuple[tuple[str, Call], ...] = ()
    patched: tuple[tuple[str, str, int], ...] = ()
    #: What it assigns is behaviour: "*" for sure, or if this name stands for such a thing; "" for no.
    behaviour: str = ""
    wiped: tuple[str, ...] = ()
    #: An expression, which surely runs to its end.
    plain: bool = False
    dynamic: bool = False
    modules: tuple[str, ...] = ()
    file_reads: tuple[str, ...] = ()
    file_writes: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    item: Definition | None = None
    #: The line of a magic that sets up the kernel; only where it defines nothing.
    magic: str | None = None
    stars: tuple[Star, ...] = ()
    #: It is itself an import that concerns every stage below; see `_importing`.
    importing: str = ""
    #: Its own text, if it is one that another import is compared with by its text.
    text: str = ""
    #: `name: T`, with or without a value.
    declares: str = ""
    #: Of an exploration cell: names that it plainly gives another value.
    changes: tuple[str, ...] = ()
    #: Of a definition or parameter: the call that gives something else each time.
    anew: str = ""


class Facts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All that the analysis has to know of a cell."""

    statements: tuple[Statement, ...] = ()
    #: What the statements do together, for "setup" and "whole".
    touched: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    dynamic: bool = False
    star: bool = False


class CellFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The facts, and the texts of statements that may be created again, which decide nothing: "" for the others."""

    facts: Facts
    texts: tuple[str, ...] = ()


def cell_facts(role: Role, body: str) -> CellFacts:
    """The facts of a cell's body. Raises PipelineError where it is not Python, with the line in the body."""
    nodes = parse(body).body
    if role == "whole":
        found = effects(nodes)
        return CellFacts(Facts((), _sorted(found.touched), _sorted(found.written), dynamic=found.dynamic))
    reader = _Reader(role, body)
    listed = [reader.statement(place, node) for place, node in enumerate(nodes)]
    statements = tuple(item for item, _ in listed)
    texts = tuple(text for _, text in listed)
    if role != "setup":
        return CellFacts(Facts(statements), texts)
    found = effects(nodes)
    return CellFacts(Facts(statements, _sorted(found.touched), _sorted(found.binds), star=bool(found.stars)), texts)


class _Reader:
    """Makes the facts of one cell's statements."""

    def __init__(self, role: Role, body: str) -> None:
        self._role = role
        self._lines = body.split("\n")
        # Where the cell needed translation, what stands in its lines is not what the tree is of.
        self._plain = to_python(body) is body

    def statement(self, place: int, node: ast.stmt) -> tuple[Statement, str]:
        """The facts of a statement, and its text if it may be created again."""
        found, seen = effects_and_nodes([node])
        item = defined(node, found, seen, containers=self._role in {"params", "explored"})
        text = self._source(node) if item is not None or found.patched or self._role == "params" else ""
        imports = self._role == "params" or (item is not None and item.kind == "import")
        given: dict[str, Any] = {name: tuple(value.items()) for name in _LINES if (value := getattr(found, name))}
        given |= {name: tuple(value) for name in _LISTS if (value := getattr(found, name))}
        if found.links:
            given["links"] = tuple((target, _sorted(sources)) for target, sources in found.links)
        if found.mutates:
            given["mutates"] = _sorted(found.mutates)
            first = found.mutates & found.touched
            given["changed_first"] = tuple((name, found.reads.get(name, 1)) for name in sorted(first))
        names = found.binds | found.deletes | found.global_binds
        if names:
            given["binds"] = tuple((name, name in found.certain) for name in sorted(names))
            given["bound"] = _sorted(found.binds)
        if found.patched:
            given["behaviour"] = _behaviour(node)
        if found.stars:
            given["stars"] = tuple(map(self._star, found.stars))
        if seen.imports:
            given["modules"] = modules_of(seen.imports)
            given["importing"] = _importing(node)
        if seen.calls or seen.stored:
            hinted = hints.of(seen.calls, seen.stored)
            given |= {name: _sorted(value) for name, value in zip(_HINTS, hinted, strict=True) if value}
        if self._role == "explored" and item is None:
            given["changes"] = _sorted(found.binds | plainly_changed(node))
        elif seen.calls and (anew := made_anew(node)):
            given["anew"] = anew
        kind = type(node)
        if kind is ast.Expr:
            given["plain"] = True
            given["magic"] = config_magic(node)
        elif kind is ast.AugAssign:
            given["rebinds"] = False
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            given["declares"] = node.target.id
        made = Statement(
            place,
            node.lineno,
            node.col_offset,
            _first(node),
            dynamic=found.dynamic,
            item=item,
            text=text if imports else "",
            **given,
        )
        return made, text

    def _star(self, node: ast.ImportFrom) -> Star:
        return Star(node.lineno, node.col_offset, modules_of([node]), self._source(node), _importing(node))

    def _source(self, node: ast.stmt) -> str:
        """The statement's text; decorators included. Rebuilt from the tree where the cell needed translation."""
        if self._role == "params" and len(self._lines) == 1:
            return ast.unparse(node)
        lines, first = self._lines, _first(node)
        text = "\n".join(lines[first - 1 : node.end_lineno])
        if self._plain and _stands_alone(node, lines[first - 1], lines[(node.end_lineno or first) - 1]):
            return text
        try:
            alone = ast.parse(text).body
        except SyntaxError:
            return ast.unparse(node)
        return text if len(alone) == 1 and ast.dump(alone[0]) == ast.dump(node) else ast.unparse(node)


def _first(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", ())
    return min(node.lineno, *(item.lineno for item in decorators)) if decorators else node.lineno


def _sorted(names: set[str] | frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(names)) if names else ()


def _behaviour(node: ast.stmt) -> str:
    value = node.value if isinstance(node, ast.Assign) else None
    if isinstance(value, ast.Lambda) or (isinstance(value, ast.Call) and dotted(value.func) in _BEHAVIOUR):
        return "*"
    return value.id if isinstance(value, ast.Name) else ""


def _importing(node: ast.stmt) -> str:
    """Of an import that concerns every stage below: "annotations" and "future" of `from __future__`, or "star"."""
    if not isinstance(node, ast.ImportFrom):
        return ""
    if node.module == "__future__":
        return "annotations" if any(alias.name == "annotations" for alias in node.names) else "future"
    return "star" if any(alias.name == "*" for alias in node.names) else ""


def _stands_alone(node: ast.stmt, first: str, last: str) -> bool:
    """Nothing else is on its first line nor on its last: what is parsed once need not be parsed again to know its text."""
    begins = not node.col_offset and (first.startswith("@") or not getattr(node, "decorator_list", []))
    rest = last.encode()[node.end_col_offset :].strip() if last.isascii() else b"?"
    return begins and (not rest or rest.startswith(b"#")) and "\r" not in last and "\f" not in first
