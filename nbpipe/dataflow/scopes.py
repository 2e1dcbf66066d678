"""Python's scoping, for a walk over code: which names are local, and what reading, binding or changing one means."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from nbpipe.dataflow.effects import CallEffects, Effects
from nbpipe.dataflow.nodes import children_of, nodes_of

#: Made once: a union of types takes longer to make than to ask.
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_IMPORTS = (ast.Import, ast.ImportFrom)
_NAMING = (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
_NAMED = frozenset({*_IMPORTS, *_NAMING, ast.MatchMapping})
_STORED = (ast.Attribute, ast.Subscript)
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Scope:
    """One function, class body, comprehension or handler: its local names and its `global` declarations.

    `is_class`: a class body binds as it goes, and its names are not seen from the functions inside.
    """

    __slots__ = ("bound", "declared", "is_class")

    def __init__(self, bound: set[str], declared: frozenset[str] = frozenset(), *, is_class: bool = False) -> None:
        self.bound = bound
        self.declared = declared
        self.is_class = is_class


class Seen:
    """Nodes that a walk came by, for those who look for more than names: nobody goes through the tree again for them."""

    __slots__ = ("called", "calls", "definitions", "imports", "stored")

    def __init__(self) -> None:
        self.calls: list[ast.Call] = []
        self.imports: list[ast.Import | ast.ImportFrom] = []
        #: Attributes and items that are assigned or deleted.
        self.stored: list[ast.Attribute | ast.Subscript] = []
        self.definitions: list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef] = []
        #: Functions whose effects were found on the way.
        self.called: dict[ast.AST, CallEffects] = {}

    def add(self, inner: Seen) -> None:
        """Take in what another walk came by, of a part of the same code."""
        self.calls += inner.calls
        self.imports += inner.imports
        self.stored += inner.stored
        self.definitions += inner.definitions

    def take(self, tree: ast.AST) -> None:
        """Nodes of a tree that the walk does not go through."""
        for node in nodes_of(tree):
            if isinstance(node, ast.Call):
                self.calls.append(node)
            elif isinstance(node, _IMPORTS):
                self.imports.append(node)
            elif isinstance(node, _DEFINITIONS):
                self.definitions.append(node)
            elif isinstance(node, _STORED) and not isinstance(node.ctx, ast.Load):
                self.stored.append(node)


class Scoped:
    """The state of a walk.

    Responsibilities: scopes, names that are surely bound by now, aliases of local names. Must not know any statement.
    """

    #: Class of a node -> who visits it: each `visit_NAME` of the classes below, found when such a node comes first.
    _visitors: ClassVar[dict[type[ast.AST], Callable[[Any, Any], None]]] = {}

    def __init_subclass__(cls) -> None:
        cls._visitors = {}

    def __init__(self) -> None:
        self.found = Effects()
        self.seen = Seen()
        self.scopes: list[Scope] = []
        #: Inside functions: local name -> names it may share with.
        self.aliases: dict[str, frozenset[str]] = {}
        self.local_mutations: set[str] = set()
        #: Names that this walk has surely bound by now.
        self.certain: frozenset[str] = frozenset()
        #: Bodies of functions count as if they ran: true while a function's own effects are looked for.
        self.called = False
        #: Parameters of the function whose effects are looked for.
        self.params: frozenset[str] = frozenset()
        #: Local names that no longer stand for what the caller gave.
        self.fresh: set[str] = set()
        self._late = 0
        self._soft = 0
        self._unsure = 0

    def visit(self, node: ast.AST) -> None:
        """Take in a node and all below it, in the order of its fields."""
        kind = type(node)
        visitor = self._visitors.get(kind)
        if visitor is None:
            visitor = self._visitors[kind] = getattr(type(self), f"visit_{kind.__name__}", Scoped.generic_visit)
        visitor(self, node)

    def generic_visit(self, node: ast.AST) -> None:
        """A node that says nothing by itself."""
        visitors = self._visitors
        for child in children_of(node):
            visitor = visitors.get(type(child))
            if visitor is not None:
                visitor(self, child)
            else:
                self.visit(child)

    def _local(self, name: str) -> bool:
        """The name belongs to a scope inside, not to the module."""
        scopes = self.scopes
        if not scopes:
            return False
        for scope in reversed(scopes):
            if name in scope.declared:
                return False
            if name in scope.bound and (not scope.is_class or scope is scopes[-1]):
                return True
        return False

    def _declared(self, name: str) -> bool:
        """A function or class body around says `global name`."""
        return any(name in scope.declared for scope in self.scopes)

    def _read(self, name: str, line: int) -> None:
        if self._local(name):
            return
        if self._late:
            self.found.late.setdefault(name, line)
        elif name not in self.certain:
            soft = self._soft or name in self.found.binds
            (self.found.soft if soft else self.found.reads).setdefault(name, line)

    def _bind(self, name: str) -> None:
        if self.scopes and self.scopes[-1].is_class and name not in self.scopes[-1].declared:
            self.scopes[-1].bound.add(name)
        elif self._local(name):
            return
        elif self._late or self._declared(name):
            self.found.global_binds.add(name)
            if not self._late:
                self.found.binds.add(name)
        else:
            self.found.binds.add(name)
            self.certain |= {name}

    def _unbind(self, name: str) -> None:
        if self.scopes and self.scopes[-1].is_class:
            self.scopes[-1].bound.discard(name)
        elif self._late and not self._local(name):
            self.found.global_binds.add(name)
        elif not self._local(name):
            self.found.deletes.add(name)
            self.certain |= {name}

    def _behind(self, names: Iterable[str]) -> frozenset[str]:
        """The names, and those that local ones among them stand for."""
        given = frozenset(names)
        if not given or not (self.scopes or self.aliases or self.fresh):
            return given
        held = given.union(*(self.aliases.get(name, frozenset()) for name in given))
        return frozenset(
            name for name in held if name not in self.fresh and (not self._local(name) or name in self.params)
        )

    def _mutate(self, names: Iterable[str]) -> None:
        if self._late and not self.called:
            return
        for name in names:
            if self._local(name):
                shared = self._behind([name])
                self.local_mutations |= shared & self.params
                self.found.mutates |= {other for other in shared if not self._local(other)}
            else:
                self.found.mutates.add(name)

    def _link(self, target: str, sources: frozenset[str]) -> None:
        if not sources or (self._late and not self.called):
            return
        if self._local(target):
            self.aliases[target] = self.aliases.get(target, frozenset()) | self._behind(sources)
        elif kept := self._behind(sources) - {target}:
            self.found.links.append((target, kept))

    def _rebind(self, target: str, sources: frozenset[str]) -> None:
        """A plain assignment: whatever a local name stood for is gone, if the statement surely runs."""
        held = self._behind(sources)
        if self._local(target) and not self._unsure and self._late <= 1 and target not in held:
            self.fresh.add(target)
            self.aliases[target] = held
        else:
            self._link(target, sources)

    def _perhaps(self) -> frozenset[str]:
        """What follows may not run: what it binds is not sure behind it. Gives what `_surely` takes."""
        self._unsure += 1
        return self.certain

    def _surely(self, before: frozenset[str]) -> None:
        """What follows runs again."""
        self._unsure -= 1
        self.certain = before

    def _ways(self, blocks: Sequence[Sequence[ast.stmt]], *, all_ways: bool) -> None:
        """Blocks of which one is executed; with `all_ways`, one surely is."""
        before = self.certain
        ends: list[frozenset[str]] = []
        self._unsure += 1
        for block in blocks:
            self.certain = before
            for child in block:
                self.visit(child)
            if not _leaves(block):
                ends.append(self.certain)
        self._unsure -= 1
        self.certain = frozenset.intersection(*ends) if all_ways and ends else before


def _leaves(block: Sequence[ast.stmt]) -> bool:
    return bool(block) and isinstance(block[-1], ast.Raise)


def parameters(args: ast.arguments) -> tuple[str, ...]:
    """Names of the parameters, those by position first and in order."""
    names = [a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    names += [a.arg for a in (args.vararg, args.kwarg) if a is not None]
    return tuple(names)


def function_scope(node: FunctionNode) -> Scope:
    """The scope of a function: its parameters and all that its body binds, without nested scopes."""
    bound, declared, outer = set(parameters(node.args)), set[str](), set[str]()
    todo: list[ast.AST] = list(node.body) if isinstance(node.body, list) else [node.body]
    while todo:
        part = todo.pop()
        kind = type(part)
        if kind is ast.Name:
            # By far the most; it has nothing below.
            if type(part.ctx) is not ast.Load:  # type: ignore[attr-defined]  # a name has it
                bound.add(part.id)  # type: ignore[attr-defined]
            continue
        if kind is ast.Constant or kind is ast.Lambda:
            continue
        if isinstance(part, _DEFINITIONS):
            bound.add(part.name)
            todo += part.decorator_list
            continue
        if isinstance(part, _COMPREHENSIONS):
            bound |= {n.target.id for n in nodes_of(part) if isinstance(n, ast.NamedExpr)}
            continue
        if isinstance(part, ast.Global):
            declared |= set(part.names)
        elif isinstance(part, ast.Nonlocal):
            outer |= set(part.names)
        elif kind in _NAMED:
            bound |= _bound_by(part)
        todo += children_of(part)
    return Scope(bound - declared - outer, frozenset(declared))


def _bound_by(node: ast.AST) -> set[str]:
    if isinstance(node, _IMPORTS):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    if isinstance(node, _NAMING) and node.name:
        return {node.name}
    return {node.rest} if isinstance(node, ast.MatchMapping) and node.rest else set()
