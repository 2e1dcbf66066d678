"""Snippets: definitions created again from source, and the state that code hangs on them afterwards."""

from __future__ import annotations

import abc
import ast
import builtins
import sys
import traceback
import types
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbpipe.model import Snippet

_OWN = str(Path(__file__).parent)


class Definitions:
    """Executes snippets in the user's namespace, in order, each as soon as what it needs is there.

    Responsibilities: parameter values replace what the params cell assigns (in the syntax tree, never as text);
    annotations of parameters are not evaluated; sources stay visible to `inspect` and to tracebacks.
    Must not: bind any name that the snippets do not bind themselves.
    """

    def __init__(self, shell: Any, snippets: Sequence[Snippet], params: Mapping[str, Any]) -> None:
        self._shell = shell
        self._pending = list(snippets)
        self._params = params
        self._done: list[Snippet] = []
        #: The one that is just being executed, or has failed.
        self._running: Snippet | None = None

    def run_ready(self, *, before_cell: int | None = None, waiting: Collection[str] = ()) -> None:
        """Execute what has all it needs; `before_cell` leaves out definitions that stand further down.

        Names in `waiting` are there only once they have their values, whatever they stand for now. A definition that
        raises is not tried again.
        """
        late = read_by(self._pending, waiting)
        todo, self._pending = self._pending, []
        try:
            while todo:
                snippet = todo.pop(0)
                early = before_cell is None or snippet.kind == "param" or snippet.cell < before_cell
                if early and late.isdisjoint(snippet.needs) and all(self._bound(name) for name in snippet.needs):
                    self._run(snippet)
                else:
                    self._pending.append(snippet)
        finally:
            self._pending += todo

    def run_rest(self) -> None:
        """Execute everything that is left; a missing name raises `NameError` as it would in the notebook."""
        while self._pending:
            self._run(self._pending.pop(0))

    def skip(self, cells: frozenset[int]) -> None:
        """Forget definitions that stand in these cells and are bound: the cells themselves were run."""
        names = self._shell.user_ns
        self._pending = [s for s in self._pending if not (s.cell in cells and all(name in names for name in s.names))]

    def pending(self) -> frozenset[str]:
        """Names that are still to be defined."""
        return frozenset(name for snippet in self._pending for name in snippet.names)

    def names(self) -> frozenset[str]:
        """Names bound by functions and classes that were created."""
        return frozenset(
            name for s in self._done if s.kind in {"function", "class", "compound"} for name in s.names if name != "*"
        )

    def _bound(self, name: str) -> bool:
        return name in self._shell.user_ns or hasattr(builtins, name)

    def place(self, error: BaseException) -> tuple[Snippet, int, str] | None:
        """The definition that raised the error, its line in its cell, and a traceback from there; None where none did."""
        running = self._running
        if running is None:
            return None
        source = _placed(running)
        name = self._shell.compile.get_code_name(source, source, -1)
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != name:
            trace = trace.tb_next
        if trace is None:
            return None
        told = traceback.TracebackException(type(error), error, trace)
        told.stack[:] = [frame for frame in told.stack if not frame.filename.startswith((_OWN, "<frozen importlib"))]
        text = "".join(told.format())
        shown = f"Cell {running.cell}, line {trace.tb_lineno}"
        return running, trace.tb_lineno, text.replace(f'File "{name}", line {trace.tb_lineno}, in <module>', shown)

    def _run(self, snippet: Snippet) -> None:
        source = _placed(snippet)
        self._running = snippet
        if snippet.kind == "param":
            self._run_parameter(source)
        elif snippet.kind == "magic":
            self._shell.run_line_magic(*_magic(snippet.source))
        else:
            self._execute(ast.parse(source), source)
        self._running = None
        self._done.append(snippet)

    def _run_parameter(self, source: str) -> None:
        tree = ast.parse(source)
        kept: list[ast.stmt] = []
        for node in tree.body:
            name = _assigned(node)
            if name is not None and name in self._params:
                self._shell.user_ns[name] = self._params[name]
            elif isinstance(node, ast.AnnAssign):
                if node.value is not None:
                    kept.append(ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node))
            else:
                kept.append(node)
        self._execute(ast.Module(body=kept, type_ignores=[]), source)

    def _execute(self, tree: ast.Module, source: str) -> None:
        ast.fix_missing_locations(tree)
        name = self._shell.compile.cache(source, -1, raw_code=source)
        # The shell's own compiler: a `__future__` import holds for the cells below, as in a notebook.
        exec(self._shell.compile(tree, name, "exec"), self._shell.user_ns)  # noqa: S102


def _placed(snippet: Snippet) -> str:
    """Its source, with the line numbers of its cell."""
    return "\n" * (snippet.line - 1) + snippet.source


def read_by(snippets: Sequence[Snippet], names: Collection[str]) -> set[str]:
    """These names, and those of definitions that read them when they are made or called, directly or by others."""
    found, before = set(names), -1
    while before != len(found):
        before = len(found)
        found.update(
            name
            for snippet in snippets
            if not found.isdisjoint(snippet.needs) or not found.isdisjoint(snippet.uses)
            for name in snippet.names
        )
    return found


def _assigned(node: ast.stmt) -> str | None:
    """The one plain name that a statement assigns."""
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return None


def _magic(line: str) -> tuple[str, str]:
    name, _, rest = line.strip().lstrip("%").partition(" ")
    return name, rest.strip()


def state(value: Any) -> dict[str, Any] | None:
    """Data that hangs on a function (attributes, defaults) or a class (its attributes); None for anything else."""
    if isinstance(value, types.FunctionType):
        kept: dict[str, Any] = {"__dict__": dict(value.__dict__)}
        kept["__dict__"].pop("__wrapped__", None)
        kept["__defaults__"] = value.__defaults__
        kept["__kwdefaults__"] = value.__kwdefaults__
        return kept
    if isinstance(value, type):
        return {name: item for name, item in vars(value).items() if _is_data(name, item)}
    return None


def written_state(node: ast.stmt) -> dict[str, Any] | None:
    """The state that a `def` or `class` statement gives as it is written; None where only running it could tell."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        if node.decorator_list:
            return None
        arguments = node.args
        try:
            defaults = tuple(ast.literal_eval(item) for item in arguments.defaults) or None
            pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            keywords = {a.arg: ast.literal_eval(d) for a, d in pairs if d is not None} or None
        except ValueError:
            return None
        return {"__dict__": {}, "__defaults__": defaults, "__kwdefaults__": keywords}
    if not isinstance(node, ast.ClassDef) or node.decorator_list or node.keywords:
        return None
    found: dict[str, Any] = {}
    for child in node.body:
        value = getattr(child, "value", None)
        targets = child.targets if isinstance(child, ast.Assign) else [getattr(child, "target", None)]
        if not isinstance(child, (ast.Assign, ast.AnnAssign)) or value is None:
            continue
        try:
            found |= {target.id: ast.literal_eval(value) for target in targets if isinstance(target, ast.Name)}
        except ValueError:
            return None
    return found


def behaviour(value: Any) -> dict[str, int]:
    """Identity of what gives a class or function its behaviour and is no part of it as it is written.

    Methods of a class, classes registered with it, functions registered with a `singledispatch`: a changed one was put
    in, which no store can carry.
    """
    if not isinstance(value, type):
        registry = getattr(value, "registry", None)
        given = registry if isinstance(registry, types.MappingProxyType) else {}
        return {f"register({kind!r})": id(item) for kind, item in given.items()}
    registered: list[Any] = []
    if isinstance(value, abc.ABCMeta):
        registered = [ref() for ref in sys.modules["_abc"]._get_dump(value)[0]]  # noqa: SLF001 - the only way to ask
    kinds = (types.FunctionType, staticmethod, classmethod, property)
    found = {name: id(item) for name, item in vars(value).items() if isinstance(item, kinds)}
    return found | {f"register({kind!r})": id(kind) for kind in registered}


def apply_state(value: Any, kept: Mapping[str, Any]) -> None:
    """Give a definition that was created again the state it had."""
    if isinstance(value, types.FunctionType):
        value.__dict__.update(kept["__dict__"])
        value.__defaults__ = kept["__defaults__"]
        value.__kwdefaults__ = kept["__kwdefaults__"]
        return
    for name in [name for name, item in vars(value).items() if _is_data(name, item) and name not in kept]:
        delattr(value, name)
    for name, item in kept.items():
        setattr(value, name, item)


def _is_data(name: str, item: Any) -> bool:
    if name.startswith("__") or name in {"_abc_impl", "_abc_registry", "_abc_cache"}:
        return False
    descriptor = hasattr(type(item), "__get__") or isinstance(item, (type, types.ModuleType))
    return not descriptor
