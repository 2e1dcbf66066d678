"""What a piece of code does to the names of the module scope: reads, binds, deletes, changes, links.

One walk over the tree with Python's real scoping: functions, lambdas, comprehensions and class bodies have scopes of their own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from nbpipe.dataflow.magic_calls import code_in_magic, interpolated, magic_call
from nbpipe.dataflow.purity import is_pure_method, mutated_positions
from nbpipe.dataflow.roots import dotted, roots

DYNAMIC_CALLS = frozenset({"exec", "eval", "globals", "locals", "execfile"})
DYNAMIC_MAGICS = frozenset(
    {"run", "store", "load", "macro", "recall", "rerun", "pylab", "reset", "xdel", "who", "whos"}
)
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True)
class Call:
    """A call of a plain name: which names stand behind its arguments, by position and keyword."""

    callee: str
    args: tuple[frozenset[str], ...]
    keywords: tuple[tuple[str, frozenset[str]], ...]


@dataclass
class Effects:
    """Names of the module scope that some code touches. `soft` reads need not be bound when the code runs."""

    reads: dict[str, int] = field(default_factory=dict)
    soft: dict[str, int] = field(default_factory=dict)
    binds: set[str] = field(default_factory=set)
    deletes: set[str] = field(default_factory=set)
    mutates: set[str] = field(default_factory=set)
    links: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    stars: list[ast.ImportFrom] = field(default_factory=list)
    #: Dotted targets assigned, such as `pd.DataFrame.total` or `os.environ`.
    patched: list[tuple[str, str, int]] = field(default_factory=list)
    dotted: dict[str, int] = field(default_factory=dict)
    #: Names declared `global` in a function and bound there.
    global_binds: set[str] = field(default_factory=set)
    dynamic: bool = False


@dataclass(frozen=True)
class CallEffects:
    """What calling a notebook function may do."""

    uses: frozenset[str]
    binds: frozenset[str]
    mutates: frozenset[str]
    params: tuple[str, ...]
    mutated_params: frozenset[str]
    calls: tuple[Call, ...]
    dynamic: bool = False


def effects(nodes: Iterable[ast.AST]) -> Effects:
    """Effects of statements that are executed at module scope."""
    walker = _Walker()
    for node in nodes:
        walker.visit(node)
    return walker.found


def callable_effects(node: FunctionNode | ast.ClassDef) -> CallEffects:
    """What calling the function, or any method of the class, may do to module names and to its arguments."""
    functions = (
        [node] if not isinstance(node, ast.ClassDef) else [n for n in ast.walk(node) if isinstance(n, FunctionNode)]
    )
    walker = _Walker()
    params: tuple[str, ...] = ()
    mutated: set[str] = set()
    for function in functions:
        names = _parameters(function.args)
        if function is node:
            params = names
        inner = _Walker()
        inner.called = True
        inner.function_body(function)
        mutated |= inner.local_mutations & set(names) if function is node else set()
        walker.absorb(inner)
    found = walker.found
    uses = frozenset({*found.reads, *found.soft})
    binds = frozenset(found.global_binds)
    own = walker.found.mutates - set(params)
    return CallEffects(uses, binds, frozenset(own), params, frozenset(mutated), tuple(found.calls), found.dynamic)


def _parameters(args: ast.arguments) -> tuple[str, ...]:
    names = [a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    names += [a.arg for a in (args.vararg, args.kwarg) if a is not None]
    return tuple(names)


def _paired(value: ast.expr | None, length: int) -> list[ast.expr | None] | None:
    """What each of several loop targets walks over: `zip(a, b)` gives a and b, `enumerate(a)` a number and a."""
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Name):
        return None
    if any(isinstance(argument, ast.Starred) for argument in value.args):
        return None
    if value.func.id == "zip" and len(value.args) == length:
        return list(value.args)
    return [None, value.args[0]] if value.func.id == "enumerate" and value.args and length == 2 else None  # noqa: PLR2004


def _bound_in(body: Iterable[ast.AST]) -> tuple[set[str], set[str], set[str]]:
    """(locals, globals, nonlocals) that a function body binds or declares, not looking into nested scopes."""
    bound: set[str] = set()
    declared: set[str] = set()
    outer: set[str] = set()
    todo = list(body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
            todo += node.decorator_list
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            bound |= {n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr)}
            continue
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, ast.Global):
            declared |= set(node.names)
        elif isinstance(node, ast.Nonlocal):
            outer |= set(node.names)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(a.asname or a.name).split(".")[0] for a in node.names}
        elif (isinstance(node, ast.ExceptHandler) and node.name) or (
            isinstance(node, ast.MatchAs | ast.MatchStar) and node.name
        ):
            bound.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            bound.add(node.rest)
        todo += list(ast.iter_child_nodes(node))
    return bound - declared - outer, declared, outer


class _Walker(ast.NodeVisitor):
    """Walks code; `scopes` are the local names of the functions that enclose the present node, innermost last."""

    def __init__(self) -> None:
        self.found = Effects()
        self.scopes: list[set[str]] = []
        self.globals: list[set[str]] = []
        #: Inside functions: local name -> names it may share with.
        self.aliases: dict[str, frozenset[str]] = {}
        self.local_mutations: set[str] = set()
        self._late = 0
        self._soft = 0
        #: Names that this walk has surely bound by now.
        self.certain: frozenset[str] = frozenset()
        #: Bodies of nested functions count as if they ran: true while a function's own effects are looked for.
        self.called = False

    def absorb(self, other: _Walker) -> None:
        """Add what another walk found."""
        found, more = self.found, other.found
        found.reads.update(more.reads)
        found.soft.update(more.soft)
        found.mutates |= more.mutates
        found.global_binds |= more.global_binds
        found.calls += more.calls
        found.patched += more.patched
        found.dotted.update(more.dotted)
        found.dynamic |= more.dynamic

    # -- names

    def _local(self, name: str) -> bool:
        return any(name in scope for scope in self.scopes) and not (self.globals and name in self.globals[-1])

    def _read(self, name: str, line: int) -> None:
        if self._local(name) or (name in self.certain and not self._late):
            return
        soft = self._late or self._soft or name in self.found.binds
        (self.found.soft if soft else self.found.reads).setdefault(name, line)

    def _bind(self, name: str) -> None:
        if self.globals and name in self.globals[-1]:
            self.found.global_binds.add(name)
        elif not self._local(name):
            self.found.binds.add(name)
            self.certain = self.certain | {name}

    def _mutate(self, names: Iterable[str]) -> None:
        if self._late and not self.called:
            return
        for name in names:
            if self._local(name):
                shared = self.aliases.get(name, frozenset()) | {name}
                self.local_mutations |= shared
                self.found.mutates |= {other for other in shared if not self._local(other)}
            else:
                self.found.mutates.add(name)

    def _link(self, target: str, sources: frozenset[str]) -> None:
        if not sources:
            return
        if self.globals and target in self.globals[-1]:
            return
        if self._local(target):
            known = frozenset().union(*(self.aliases.get(s, frozenset()) for s in sources))
            self.aliases[target] = self.aliases.get(target, frozenset()) | sources | known
        else:
            self.found.links.append((target, sources - {target}))

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._read(node.id, node.lineno)
            if node.id in DYNAMIC_CALLS and not self._local(node.id):
                self.found.dynamic = True
        elif isinstance(node.ctx, ast.Store):
            self._bind(node.id)
        elif not self._local(node.id):
            self._read(node.id, node.lineno)
            self.found.deletes.add(node.id)

    # -- statements that bind

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self._assign(target, node.value)
        if len(node.targets) > 1:
            names = [t.id for t in node.targets if isinstance(t, ast.Name)]
            for name in names[1:]:
                self._link(name, frozenset(names[:1]))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self._assign(node.target, node.value)
        elif not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self._assign(node.target, node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self._read(node.target.id, node.lineno)
            self._mutate([node.target.id])
            self._bind(node.target.id)
            self._link(node.target.id, roots(node.value))
        else:
            self._assign(node.target, node.value)

    def _assign(self, target: ast.expr, value: ast.expr | None) -> None:
        if isinstance(target, ast.Name):
            self._bind(target.id)
            self._link(target.id, roots(value))
        elif isinstance(target, ast.Tuple | ast.List):
            values: list[ast.expr | None] = _paired(value, len(target.elts)) or [value] * len(target.elts)
            same = isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts)
            if (
                same
                and not any(isinstance(e, ast.Starred) for e in target.elts)
                and isinstance(value, ast.Tuple | ast.List)
            ):
                values = list(value.elts)
            for item, part in zip(target.elts, values, strict=True):
                self._assign(item, part)
        elif isinstance(target, ast.Starred):
            self._assign(target.value, value)
        else:
            self.visit(target)
            if isinstance(target, ast.Attribute) and dotted(target):
                self.found.patched.append((dotted(target).split(".")[0], dotted(target), target.lineno))
            owners = roots(target)
            self._mutate(owners)
            for owner in owners:
                self._link(owner, roots(value) - {owner})

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            self.visit(target)
            if not isinstance(target, ast.Name):
                self._mutate(roots(target))

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        with self._branch():
            self._assign(node.target, node.iter)
            for child in node.body:
                self.visit(child)
        with self._branch():
            for child in node.orelse:
                self.visit(child)

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._blocks(node.body, node.orelse)

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._blocks(node.body, node.orelse)

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        for case in node.cases:
            with self._branch():
                self.visit(case)

    def _blocks(self, *blocks: list[ast.stmt]) -> None:
        """Blocks of which any, or none, is executed: what only one binds is not sure behind them."""
        for block in blocks:
            with self._branch():
                for child in block:
                    self.visit(child)

    @contextmanager
    def _branch(self) -> Iterator[None]:
        before = self.certain
        yield
        self.certain = before

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self._assign(item.optional_vars, item.context_expr)
        for child in node.body:
            self.visit(child)

    visit_AsyncWith = visit_With

    def visit_Try(self, node: ast.Try) -> None:
        caught = {n.id for h in node.handlers if h.type for n in ast.walk(h.type) if isinstance(n, ast.Name)}
        survives = any(h.type is None for h in node.handlers) or caught & {"NameError", "Exception", "BaseException"}
        self._soft += bool(survives)
        before = self.certain
        for child in node.body:
            self.visit(child)
        self._soft -= bool(survives)
        self._blocks(node.orelse)
        self.certain = before
        for handler in node.handlers:
            with self._branch():
                self.visit(handler)
        for child in node.finalbody:
            self.visit(child)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type is not None:
            self.visit(node.type)
        inside = node.name is not None and not self._local(node.name)
        with self._scope({node.name} if inside and node.name else set()):
            for child in node.body:
                self.visit(child)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.name:
            self._bind(node.name)
        self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self._bind(node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self._bind(node.rest)
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._bind((alias.asname or alias.name).split(".")[0])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name == "*":
                self.found.stars.append(node)
            else:
                self._bind(alias.asname or alias.name)

    # -- scopes

    @contextmanager
    def _scope(self, names: set[str], declared: set[str] | None = None) -> Iterator[None]:
        self.scopes.append(names)
        self.globals.append(declared if declared is not None else (self.globals[-1] if self.globals else set()))
        yield
        self.scopes.pop()
        self.globals.pop()

    def function_body(self, node: FunctionNode) -> None:
        """Walk the body of a function in its own scope."""
        body = node.body if isinstance(node.body, list) else [node.body]
        bound, declared, _ = _bound_in(body)
        with self._scope(bound | set(_parameters(node.args)), declared):
            for child in body:
                self.visit(child)

    def _definition_time(self, node: FunctionNode) -> None:
        for default in (*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)):
            self.visit(default)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator)
            if isinstance(decorator, ast.Name):
                self.found.calls.append(Call(decorator.id, (), ()))
        self._definition_time(node)
        for annotation in [a.annotation for a in ast.walk(node.args) if isinstance(a, ast.arg)] + [node.returns]:
            if annotation is not None:
                self._annotation(annotation)
        self._bind(node.name)
        self._late += 1
        self.function_body(node)
        self._late -= 1

    visit_AsyncFunctionDef = visit_FunctionDef

    def _annotation(self, node: ast.expr) -> None:
        self._late += 1
        self.visit(node)
        self._late -= 1

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._definition_time(node)
        self._late += 1
        self.function_body(node)
        self._late -= 1

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in (*node.decorator_list, *node.bases, *(k.value for k in node.keywords)):
            self.visit(part)
        self._bind(node.name)
        bound, declared, _ = _bound_in(node.body)
        # Names of a class body are seen by its own statements, not by its methods.
        with self._scope(set(), declared):
            for child in node.body:
                if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                    for decorator in child.decorator_list:
                        self._class_level(decorator, bound)
                    self._definition_time(child)
                    self._late += 1
                    self.function_body(child)
                    self._late -= 1
                else:
                    self._class_level(child, bound)

    def _class_level(self, node: ast.AST, bound: set[str]) -> None:
        with self._scope(bound):
            self.visit(node)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        first, *rest = node.generators
        self.visit(first.iter)
        for part in ast.walk(node):
            if isinstance(part, ast.NamedExpr):
                self._bind(part.target.id)
        targets = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        with self._scope(targets):
            for generator in node.generators:
                self._assign(generator.target, generator.iter)
                for condition in generator.ifs:
                    self.visit(condition)
            for generator in rest:
                self.visit(generator.iter)
            parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            for child in parts:
                self.visit(child)

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension

    # -- calls

    def visit_Call(self, node: ast.Call) -> None:
        magic = magic_call(node)
        if magic is not None:
            self._magic(*magic, node.lineno)
            return
        self.generic_visit(node)
        name = dotted(node.func)
        if name:
            self.found.dotted.setdefault(name, node.lineno)
        self._receiver(node)
        for position in mutated_positions(name):
            if position < len(node.args):
                self._mutate(roots(node.args[position]))
        for keyword in node.keywords:
            if keyword.arg == "out":
                self._mutate(roots(keyword.value))
        if isinstance(node.func, ast.Name) and (self.called or not self._late):
            args = tuple(roots(a) for a in node.args)
            keywords = tuple((k.arg or "", roots(k.value)) for k in node.keywords)
            self.found.calls.append(Call(node.func.id, args, keywords))

    def _receiver(self, node: ast.Call) -> None:
        if not isinstance(node.func, ast.Attribute):
            return
        inplace = any(
            k.arg in {"inplace", "copy_"} and not (isinstance(k.value, ast.Constant) and not k.value.value)
            for k in node.keywords
        )
        if inplace or not is_pure_method(node.func.attr):
            owners = roots(node.func.value)
            self._mutate(owners)
            kept = frozenset().union(*(roots(a) for a in node.args), *(roots(k.value) for k in node.keywords))
            if node.func.attr in {
                "append",
                "extend",
                "insert",
                "add",
                "update",
                "setdefault",
                "appendleft",
                "put",
                "push",
            }:
                for owner in owners:
                    self._link(owner, kept - {owner})

    def _magic(self, kind: str, name: str, text: str, line: int) -> None:
        if kind in {"line", "cell"} and name in DYNAMIC_MAGICS:
            self.found.dynamic = True
        tree = code_in_magic(name, text) if kind == "line" else None
        if tree is not None:
            for child in tree.body:
                self.visit(child)
            return
        if kind == "cell" and name == "capture":
            words = [word for word in text.split() if not word.startswith("-")]
            if words:
                self._bind(words[0])
            return
        for found in interpolated(text):
            self._read(found, line)
