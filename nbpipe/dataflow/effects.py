"""What a piece of code does to the names of the module scope: reads, binds, deletes, changes, links.

One walk over the tree with Python's real scoping: functions, lambdas, comprehensions and class bodies have scopes of their own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from nbpipe.dataflow.purity import COPY_ATTRIBUTES, VIEW_METHODS, is_pure_method, mutated_positions
from nbpipe.dataflow.transform import code_in_magic, interpolated, magic_call

DYNAMIC_CALLS = frozenset({"exec", "eval", "globals", "locals", "execfile"})
DYNAMIC_MAGICS = frozenset({"run", "store", "load", "macro", "recall", "rerun", "pylab", "reset", "xdel", "who", "whos"})
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
class Callable_:
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


def callable_effects(node: FunctionNode | ast.ClassDef) -> Callable_:
    """What calling the function, or any method of the class, may do to module names and to its arguments."""
    functions = [node] if not isinstance(node, ast.ClassDef) else [n for n in ast.walk(node) if isinstance(n, FunctionNode)]
    walker = _Walker()
    params: tuple[str, ...] = ()
    mutated: set[str] = set()
    for function in functions:
        names = _parameters(function.args)
        if function is node:
            params = names
        inner = _Walker()
        inner.function_body(function)
        mutated |= inner.local_mutations & set(names) if function is node else set()
        walker.absorb(inner)
    found = walker.found
    uses = frozenset({*found.reads, *found.soft})
    binds = frozenset(found.global_binds)
    own = walker.found.mutates - set(params)
    return Callable_(uses, binds, frozenset(own), params, frozenset(mutated), tuple(found.calls), found.dynamic)


def roots(node: ast.AST | None) -> frozenset[str]:
    """Names whose objects the value of an expression may be, or be part of."""
    if isinstance(node, ast.Name):
        return frozenset({node.id})
    if isinstance(node, ast.Attribute):
        return frozenset() if node.attr in COPY_ATTRIBUTES else roots(node.value)
    if isinstance(node, ast.Subscript | ast.Starred | ast.Await):
        return roots(node.value)
    if isinstance(node, ast.NamedExpr):
        return roots(node.value) | {node.target.id}
    if isinstance(node, ast.IfExp):
        return roots(node.body) | roots(node.orelse)
    if isinstance(node, ast.BoolOp):
        return frozenset().union(*(roots(value) for value in node.values))
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return frozenset().union(*(roots(item) for item in node.elts))
    if isinstance(node, ast.Dict):
        return frozenset().union(*(roots(item) for item in node.values))
    if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
        return _comprehension_roots(node, [node.elt])
    if isinstance(node, ast.DictComp):
        return _comprehension_roots(node, [node.value])
    if isinstance(node, ast.Call):
        return _call_roots(node)
    return frozenset()


def _comprehension_roots(node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, parts: list[ast.expr]) -> frozenset[str]:
    targets = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
    inner = frozenset().union(*(roots(part) for part in parts))
    sources = frozenset().union(*(roots(g.iter) for g in node.generators))
    return (inner - targets) | (sources if inner & targets else frozenset())


def _call_roots(node: ast.Call) -> frozenset[str]:
    function = node.func
    arguments = frozenset().union(*(roots(a) for a in node.args), *(roots(k.value) for k in node.keywords))
    if isinstance(function, ast.Attribute):
        name, owner = function.attr, roots(function.value)
        if name in VIEW_METHODS:
            return owner
        if name[:1].isupper():
            return arguments
        return frozenset() if is_pure_method(name) else owner
    if isinstance(function, ast.Name):
        holds = function.id[:1].isupper() or function.id in _KEEPERS
        return arguments if holds else frozenset()
    return frozenset()


_KEEPERS = frozenset({"list", "tuple", "dict", "set", "zip", "enumerate", "map", "filter", "reversed", "iter", "sorted", "partial"})


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a chain of attributes on a name; "" for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _parameters(args: ast.arguments) -> tuple[str, ...]:
    names = [a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    names += [a.arg for a in (args.vararg, args.kwarg) if a is not None]
    return tuple(names)


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
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
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
        if not self._local(name):
            (self.found.soft if self._late else self.found.reads).setdefault(name, line)

    def _bind(self, name: str) -> None:
        if self.globals and name in self.globals[-1]:
            self.found.global_binds.add(name)
        elif not self._local(name):
            self.found.binds.add(name)

    def _mutate(self, names: Iterable[str]) -> None:
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
            values: list[ast.expr | None] = [value] * len(target.elts)
            same = isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts)
            if same and not any(isinstance(e, ast.Starred) for e in target.elts) and isinstance(value, ast.Tuple | ast.List):
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
        self._assign(node.target, node.iter)
        for child in (*node.body, *node.orelse):
            self.visit(child)

    visit_AsyncFor = visit_For

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self._assign(item.optional_vars, item.context_expr)
        for child in node.body:
            self.visit(child)

    visit_AsyncWith = visit_With

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
                for name in targets:
                    self._link(name, roots(generator.iter))
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
        if isinstance(node.func, ast.Name):
            args = tuple(roots(a) for a in node.args)
            keywords = tuple((k.arg or "", roots(k.value)) for k in node.keywords)
            self.found.calls.append(Call(node.func.id, args, keywords))

    def _receiver(self, node: ast.Call) -> None:
        if not isinstance(node.func, ast.Attribute):
            return
        inplace = any(
            k.arg in {"inplace", "copy_"} and not (isinstance(k.value, ast.Constant) and not k.value.value) for k in node.keywords
        )
        if inplace or not is_pure_method(node.func.attr):
            owners = roots(node.func.value)
            self._mutate(owners)
            kept = frozenset().union(*(roots(a) for a in node.args), *(roots(k.value) for k in node.keywords))
            if node.func.attr in {"append", "extend", "insert", "add", "update", "setdefault", "appendleft", "put", "push"}:
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
