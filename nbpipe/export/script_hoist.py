"""Which imports, functions and classes of a notebook become those of a module, and which stay inside their stage.

One that looks at a parameter or at a variable of a stage stays inside, where it sees it, as it did in the notebook.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable

import msgspec

from nbpipe.dataflow.snippets import definition
from nbpipe.export import script_text
from nbpipe.model import Pipeline

#: Code that changes what an import finds or does: imports then stay where they stand.
_BEFORE_IMPORTS = re.compile(r"\b(environ|putenv|setenv|sys\.path|chdir|set_start_method|matplotlib\.use)\b")
BUILTINS = frozenset(dir(builtins))


class Hoisted(msgspec.Struct, frozen=True, kw_only=True):
    """A definition at the top of a module."""

    names: tuple[str, ...]
    source: str
    is_import: bool
    #: Names that it reads, then or when it is called.
    reads: frozenset[str]


def hoisted(pipeline: Pipeline, texts: Iterable[str]) -> tuple[Hoisted, ...]:
    """In notebook order; `texts` are those of the setup and of the stages, as plain Python."""
    texts = tuple(texts)
    if any(_BEFORE_IMPORTS.search(text) for text in texts):
        return ()
    found: dict[str, Hoisted] = {}
    twice: set[str] = {param.name for param in pipeline.params}
    for stage in pipeline.stages:
        twice |= {*stage.flow.writes, *stage.flow.inputs}
    sources = [snippet.source for snippet in pipeline.snippets if snippet.stage is None and snippet.kind != "param"]
    for text in (*sources, *texts):
        tree = _tree(text)
        for node in tree.body if tree is not None else ():
            made = definition(node)
            names = made.names if made is not None else _bound(node)
            if made is None or made.kind not in ("import", "function", "class") or made.changes:
                twice |= set(names)
                continue
            if not script_text.alone(text, node, tree.body if tree is not None else ()):
                twice |= set(names)
                continue
            one = Hoisted(
                names=names,
                source=script_text.of(text, node),
                is_import=made.kind == "import",
                reads=(made.needs | made.uses | made.annotated | made.runs) - BUILTINS,
            )
            for name in names:
                if name in found and ast.dump(ast.parse(found[name].source)) != ast.dump(node_module(node)):
                    twice.add(name)
                found.setdefault(name, one)
    return _closed(found, twice)


def node_module(node: ast.stmt) -> ast.Module:
    """The statement as a module, without positions."""
    return ast.parse(ast.unparse(node))


def _closed(found: dict[str, Hoisted], twice: set[str]) -> tuple[Hoisted, ...]:
    """Those that are bound once, and read nothing but one another."""
    good = {name: one for name, one in found.items() if not set(one.names) & twice}
    while True:
        left = {
            name: one for name, one in good.items() if {read.partition(".")[0] for read in one.reads} <= good.keys()
        }
        if len(left) == len(good):
            return tuple({one.names: one for one in left.values()}.values())
        good = left


def _tree(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except SyntaxError:
        return None


def _bound(node: ast.stmt) -> tuple[str, ...]:
    found = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)}
    inner = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found |= {each.name for each in ast.walk(node) if isinstance(each, inner)}
    found |= {
        (alias.asname or alias.name).partition(".")[0]
        for each in ast.walk(node)
        if isinstance(each, (ast.Import, ast.ImportFrom))
        for alias in each.names
    }
    return tuple(sorted(found))


def reads_of(text: str) -> set[str]:
    """Every name that stands in a text."""
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


def bound_in(text: str) -> set[str]:
    """Names that the text binds at its top."""
    return {name for node in ast.parse(text).body for name in _top(node)}


def _top(node: ast.stmt) -> tuple[str, ...]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return (node.name,)
    return _bound(node)
