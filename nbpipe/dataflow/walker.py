"""The walk over code that finds its effects on the names of the module scope, with Python's real scoping."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

from nbpipe.dataflow.bindings import Bindings
from nbpipe.dataflow.effects import Call, CallEffects, Effects
from nbpipe.dataflow.magic_calls import code_in_magic, interpolated, magic_call
from nbpipe.dataflow.nodes import nodes_of
from nbpipe.dataflow.purity import KEEPING_METHODS, is_pure_method, mutated_positions
from nbpipe.dataflow.roots import dotted, roots
from nbpipe.dataflow.scopes import FunctionNode, Scope, function_scope, parameters
from nbpipe.dataflow.strings import names_in_expression, names_in_text
from nbpipe.dataflow.transform import plain_tree

_DYNAMIC_CALLS = frozenset({"exec", "eval", "globals", "locals", "execfile"})
_DYNAMIC_MAGICS = frozenset({"run", "store", "load", "macro", "recall", "rerun", "pylab"})
_BOUND_BY_SCRIPTS = re.compile(r"--(out|err|proc)[ =]+([A-Za-z_]\w*)")
#: What `%reset` may be told to clear instead of names.
_RESET_PARTS = frozenset({"in", "out", "dhist", "array"})


def effects(nodes: Iterable[ast.AST]) -> Effects:
    """Effects of statements that are executed at module scope, one after the other."""
    walker = _Walker()
    for node in nodes:
        walker.visit(node)
    walker.found.certain = walker.certain
    return walker.found


@functools.lru_cache(maxsize=16384)
def statement_effects(node: ast.stmt) -> Effects:
    """Effects of one statement of a parsed cell. Remembered by the node, which is not to be changed; nor is the result."""
    return effects([node])


def call_effects(node: FunctionNode | ast.ClassDef) -> CallEffects:
    """What calling the function, or any method of the class, may do to module names and to its arguments."""
    walker = _Walker()
    walker.called = True
    params: tuple[str, ...] = ()
    if isinstance(node, ast.ClassDef):
        walker.class_body(node)
    else:
        params = parameters(node.args)
        walker.params = frozenset(params)
        walker.function_body(node)
    found = walker.found
    mutated = walker.local_mutations & set(params)
    own = {node.name} if not isinstance(node, ast.Lambda) and mutated & _mutable_defaults(node) else set()
    kept = walker.returned & {*params, *found.late}
    return CallEffects(
        uses=frozenset(found.late),
        binds=frozenset(found.global_binds),
        mutates=frozenset(found.mutates - set(params)) | own,
        params=params,
        mutated_params=frozenset(mutated),
        returned=frozenset(kept),
        calls=tuple(found.calls),
        dynamic=found.dynamic,
    )


def _mutable_defaults(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> set[str]:
    """Parameters whose default is one object for all calls."""
    if isinstance(node, ast.ClassDef):
        return set()
    args = node.args
    positional = [*args.posonlyargs, *args.args]
    pairs = [*zip(positional[len(positional) - len(args.defaults) :], args.defaults, strict=True)]
    pairs += [(a, d) for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if d is not None]
    return {a.arg for a, default in pairs if isinstance(default, ast.List | ast.Dict | ast.Set | ast.Call)}


class _Walker(Bindings):
    """Visits functions, classes, comprehensions and calls."""

    def __init__(self) -> None:
        super().__init__()
        #: Names whose objects a `return` may give away.
        self.returned: set[str] = set()

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._read(node.id, node.lineno)
            if node.id in _DYNAMIC_CALLS and not self._local(node.id):
                self.found.dynamic = True
        elif isinstance(node.ctx, ast.Store):
            self._bind(node.id)
        else:
            self._read(node.id, node.lineno)
            self._unbind(node.id)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._read_perhaps(names_in_text(node.value), node.lineno)

    def _read_perhaps(self, names: set[str], line: int) -> None:
        for name in sorted(names):
            if self._late:
                self._read(name, line)
            elif not self._local(name):
                self.found.soft.setdefault(name, line)

    # -- scopes

    def function_body(self, node: FunctionNode) -> None:
        """Walk the body of a function in its own scope."""
        body = node.body if isinstance(node.body, list) else [node.body]
        with self._type_params(node), self._scope(function_scope(node)), self._later():
            for child in body:
                self.visit(child)
            if isinstance(node, ast.Lambda):
                self._give_back(node.body)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None:
            self.visit(node.value)
            self._give_back(node.value)

    def _give_back(self, value: ast.expr) -> None:
        if self.called:
            self.returned |= self._behind(roots(value))

    def _defaults(self, args: ast.arguments) -> None:
        for default in (*args.defaults, *(d for d in args.kw_defaults if d is not None)):
            self.visit(default)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            self._decorator(decorator)
        self._defaults(node.args)
        with self._type_params(node):
            for annotation in [a.annotation for a in nodes_of(node.args) if isinstance(a, ast.arg)] + [node.returns]:
                if annotation is not None:
                    self._annotation(annotation)
        self._bind(node.name)
        self.function_body(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def _decorator(self, node: ast.expr) -> None:
        """A decorator is a call: `@registry.add` may change the registry."""
        self.visit(node)
        if isinstance(node, ast.Name) and (self.called or not self._late):
            self.found.calls.append(Call(node.id, (), ()))
        elif isinstance(node, ast.Attribute) and not is_pure_method(node.attr):
            self._mutate(roots(node.value))

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._defaults(node.args)
        self.function_body(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for decorator in node.decorator_list:
            self._decorator(decorator)
        with self._type_params(node):
            for part in (*node.bases, *(keyword.value for keyword in node.keywords)):
                self.visit(part)
            self.class_body(node)
        self._bind(node.name)

    def class_body(self, node: ast.ClassDef) -> None:
        """Walk the body of a class: it runs at once, its methods when they are called."""
        declared = {name for part in node.body if isinstance(part, ast.Global) for name in part.names}
        with self._scope(Scope(set(), frozenset(declared), is_class=True)):
            for child in node.body:
                self.visit(child)

    def _type_params(self, node: ast.AST) -> AbstractContextManager[None]:
        """A scope for `def f[T]`, only where there is such a thing."""
        names = {part.name for part in getattr(node, "type_params", ())}
        return self._scope(Scope(names)) if names else nullcontext()

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        first, *rest = node.generators
        self.visit(first.iter)
        targets = {n.id for g in node.generators for n in nodes_of(g.target) if isinstance(n, ast.Name)}
        with self._perhaps(), self._scope(Scope(targets)):
            self._assign(first.target, first.iter)
            for condition in first.ifs:
                self.visit(condition)
            for generator in rest:
                self.visit(generator.iter)
                self._assign(generator.target, generator.iter)
                for condition in generator.ifs:
                    self.visit(condition)
            for part in [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]:
                self.visit(part)

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension

    # -- calls

    def visit_Call(self, node: ast.Call) -> None:
        magic = magic_call(node)
        if magic is not None:
            self._magic(*magic, node.lineno)
            return
        code = None if self._late else _literal_code(node)
        if code is not None:
            for child in code.body:
                self.visit(child)
            return
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in {"dir", "vars"} and not (node.args or self._late):
            self.found.dynamic = True
        self._read_perhaps(names_in_expression(node), node.lineno)
        self._receiver(node)
        for position in mutated_positions(dotted(node.func)):
            if position < len(node.args):
                self._mutate(roots(node.args[position]))
        for keyword in node.keywords:
            if keyword.arg in {"out", "ax"}:
                self._mutate(roots(keyword.value))
        if isinstance(node.func, ast.Name) and (self.called or not self._late):
            self.found.calls.append(self._call(node, node.func.id))

    def _receiver(self, node: ast.Call) -> None:
        if not isinstance(node.func, ast.Attribute):
            return
        inplace = any(
            k.arg in {"inplace", "copy_"} and not (isinstance(k.value, ast.Constant) and not k.value.value)
            for k in node.keywords
        )
        if not inplace and is_pure_method(node.func.attr):
            return
        owners = roots(node.func.value)
        self._mutate(owners)
        if node.func.attr in KEEPING_METHODS:
            kept = frozenset().union(*(roots(a) for a in node.args), *(roots(k.value) for k in node.keywords))
            for owner in owners:
                self._link(owner, kept - {owner})

    def _magic(self, kind: str, name: str, text: str, line: int) -> None:
        if kind in {"line", "cell"} and name in _DYNAMIC_MAGICS:
            self.found.dynamic = True
        words = [word for word in text.split() if not word.startswith("-")]
        if kind == "line" and name == "xdel":
            for word in words:
                self._read(word, line)
                self._unbind(word)
        elif kind == "line" and name == "reset" and not _RESET_PARTS & set(words):
            self.found.wiped.append("")
        elif kind == "line" and name == "reset_selective":
            self.found.wiped += words
        tree = code_in_magic(name, text) if kind == "line" else None
        if tree is not None:
            for child in tree.body:
                self.visit(child)
        elif kind == "cell" and name == "capture":
            for word in words[:1]:
                self._bind(word)
        else:
            for found in interpolated(text):
                self._read(found, line)
            # `%%bash --out text`
            for _, word in _BOUND_BY_SCRIPTS.findall(text.partition("\n")[0]) if kind == "cell" else ():
                self._bind(word)


def _literal_code(node: ast.Call) -> ast.Module | None:
    """The code in `exec("…")` and `eval("…")` where it is a literal: it can be read like any other."""
    known = isinstance(node.func, ast.Name) and node.func.id in {"exec", "eval"} and len(node.args) == 1
    if not known or node.keywords or not isinstance(node.args[0], ast.Constant):
        return None
    text = node.args[0].value
    return plain_tree(text.strip()) if isinstance(text, str) else None
