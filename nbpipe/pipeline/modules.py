"""Local modules: found and parsed, never executed; and which of them a stage reaches."""

from __future__ import annotations

import ast
import functools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from nbpipe.dataflow.transform import parse
from nbpipe.errors import PipelineError
from nbpipe.model import Pipeline, Snippet, Stage
from nbpipe.pipeline.contents import source_digest
from nbpipe.pipeline.index import index_of
from nbpipe.pipeline.marks import mark


class Found(NamedTuple):
    """Local modules, by full name."""

    #: Path from the notebook's folder, and `source_digest`.
    modules: dict[str, tuple[str, str]]
    #: What each imports: full names of local modules, top-level names of the others.
    imports: dict[str, tuple[str, ...]]
    #: A mark per line.
    marks: dict[str, str]


def find_modules(bodies: Iterable[str], folder: Path, roots: Iterable[Path] = ()) -> Found:
    """Local modules that the code reaches, transitively.

    Looked for in `folder` first, then in `roots`. A file that does not parse is listed, without imports.
    """
    places = [folder, *(root for root in roots if root != folder)]
    modules: dict[str, tuple[str, str]] = {}
    imports: dict[str, tuple[str, ...]] = {}
    marks: dict[str, str] = {}
    todo = [name for body in bodies for name in imported_names(body)]
    while todo:
        name = todo.pop()
        path = _locate(name, places)
        if name in modules or path is None:
            continue
        data = path.read_bytes()
        shown = Path(os.path.relpath(path, folder)).as_posix()
        modules[name] = (shown, source_digest(data))
        marks[name] = mark(shown, data.decode("utf-8", "replace"))
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        names = _module_imports(data, package)
        imports[name] = tuple(
            sorted({full for full in names if _locate(full, places)} | {_top(full) for full in names})
        )
        todo += names
    return Found(dict(sorted(modules.items())), dict(sorted(imports.items())), dict(sorted(marks.items())))


@functools.lru_cache(maxsize=4096)
def imported_names(body: str) -> tuple[str, ...]:
    """Modules that a cell's code names in imports, parents first; `from a import b` names `a.b` too."""
    if "import" not in body:
        return ()
    try:
        return tuple(sorted(_names(parse(body), "")))
    except PipelineError:
        return ()


def reach(pipeline: Pipeline, stage: Stage, snippets: Iterable[Snippet] = ()) -> tuple[str, ...]:
    """Local modules the stage may run code of, sorted."""
    return reached(pipeline, stage, snippets)[0]


def distributions_reached(pipeline: Pipeline, stage: Stage, snippets: Iterable[Snippet] = ()) -> tuple[str, ...]:
    """Distributions that the stage imports, itself or through local modules, sorted."""
    return reached(pipeline, stage, snippets)[1]


def reached(
    pipeline: Pipeline, stage: Stage, snippets: Iterable[Snippet] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Local modules the stage may run code of, and distributions that it imports, itself or through them; both sorted."""
    names = _closure(pipeline, stage, snippets)
    if not names:
        return (), ()
    found = {dist for top in map(_top, names) for dist in pipeline.provided_by.get(top, ())}
    return tuple(sorted(names & pipeline.modules.keys())), tuple(sorted(found & pipeline.distributions.keys()))


def _closure(pipeline: Pipeline, stage: Stage, snippets: Iterable[Snippet]) -> set[str]:
    sources = [code.body for code in (*pipeline.setup, *stage.cells)]
    sources += [item.source for item in index_of(pipeline).in_order(stage.flow.definitions)]
    sources += [item.source for item in snippets]
    todo = [name for source in sources for name in imported_names(source)]
    todo += stage.flow.modules
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += pipeline.module_imports.get(name, ())
    return seen


def _module_imports(data: bytes, package: str) -> set[str]:
    try:
        return _names(ast.parse(data), package)
    except (SyntaxError, ValueError):
        return set()


def _names(tree: ast.AST, package: str) -> set[str]:
    """Full names of what is imported anywhere in the code, conditional and deferred imports included."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found |= _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            if base:
                found |= _with_parents(base)
                found |= {f"{base}.{alias.name}" for alias in node.names if alias.name != "*"}
    return found


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".") if package else []
    kept = parts[: len(parts) - node.level + 1]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _with_parents(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:n]) for n in range(1, len(parts) + 1)}


def _locate(name: str, places: list[Path]) -> Path | None:
    parts = name.split(".")
    for place in places:
        base = place.joinpath(*parts)
        for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
            if path.is_file():
                return path
    return None


def _top(name: str) -> str:
    return name.partition(".")[0]
