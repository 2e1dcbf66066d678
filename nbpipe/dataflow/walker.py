"""The walk over code that finds its effects on the names of the module scope, with Python's real scoping."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from nbpipe.dataflow.bindings import Bindings
from nbpipe.dataflow.effects import Call, CallEffects, Effects
from nbpipe.dataflow.magic_calls import code_in_magic, expanded, interpolated, magic_call, shell_names
from nbpipe.dataflow.nodes import nodes_of
from nbpipe.dataflow.purity import KEEPING_METHODS, is_pure_method, mutated_positions
from nbpipe.dataflow.roots import dotted, roots
from nbpipe.dataflow.scopes import FunctionNode, Scope, Seen, function_scope, parameters
from nbpipe.dataflow.strings import names_in_expression, names_in_text
from nbpipe.dataflow.transform import plain_tree

#: What is read when it is called may be any name of the notebook; `__main__` is the notebook as a module.
_DYNAMIC_CALLS = frozenset({"exec", "eval", "globals", "locals", "execfile", "__main__"})
_DYNAMIC_MAGICS = frozenset({"run", "store", "load", "macro", "recall", "rerun", "pylab", "ipytest"})
#: Functions that look for tests, or for the names of a text, in `__main__`.
_OF_MAIN = frozenset({"unittest.main", "doctest.testmod", "testmod", "cProfile.run", "profile.run", "ipytest.run"})
_IMPORTS_MAIN = re.compile(r"\b(from|import)\s+__main__\b")
_BOUND_BY_SCRIPTS = re.compile(r"--(out|err|proc)[ =]+([A-Za-z_]\w*)")
#: What `%reset` may be told to clear instead of names.
_RESET_PARTS = frozenset({"in", "out", "dhist", "array"})


def effects(nodes: Iterable[ast.AST]) -> Effects:
    """Effects of statements that are executed at module scope, one after the other."""
    return effects_and_nodes(nodes)[0]


def effects_and_nodes(nodes: Iterable[ast.AST]) -> tuple[Effects, Seen]:
    """The effects, and the nodes that the walk came by on the way."""
    walker = _Walker()
    for node in nodes:
        walker.visit(node)
    walker.found.certain = walker.certain
    return walker.found, walker.seen


def statement_effects(node: ast.stmt) -> Effects:
    """Effects of one statement of a parsed cell."""
    return effects([node])


def call_effects(node: FunctionNode | ast.ClassDef) -> CallEffects:
    """What calling the function, or any method of the class, may do to module names and to its arguments."""
    walker = _Walker()
    walker.called = True
    if isinstance(node, ast.ClassDef):
        walker.class_body(node)
        return _when_called(node, walker, ())
    params = parameters(node.args)
    walker.params = frozenset(params)
    walker.function_body(node)
    return _when_called(node, walker, params)


def _when_called(node: FunctionNode | ast.ClassDef, walker: _Walker, params: tuple[str, ...]) -> CallEffects:
    """What such a walk has found."""
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
        kind = type(node.ctx)
        if kind is ast.Load:
            self._read(node.id, node.lineno)
            if node.id in _DYNAMIC_CALLS and not self._local(node.id):
                self.found.dynamic = True
        elif kind is ast.Store:
            self._bind(node.id)
        else:
            self._read(node.id, node.lineno)
            self._unbind(node.id)

    def visit_Import(self, node: ast.Import) -> None:
        super().visit_Import(node)
        self.found.dynamic |= any(alias.name == "__main__" for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        super().visit_ImportFrom(node)
        self.found.dynamic |= node.module == "__main__"

    def visit_Attribute(self, node: ast.Attribute) -> None:
        super().visit_Attribute(node)
        # The notebook's names as IPython has them; and all classes that were made of one.
        self.found.dynamic |= node.attr in {"user_ns", "user_global_ns", "run_cell", "__subclasses__"}

    def visit_Subscript(self, node: ast.Subscript) -> None:
        super().visit_Subscript(node)
        name = node.slice.id if isinstance(node.slice, ast.Name) else ""
        self.found.dynamic |= _is_main(node.slice) or (name == "__name__" and dotted(node.value).endswith("modules"))

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and "__main__" in node.value and _IMPORTS_MAIN.search(node.value):
            self.found.dynamic = True
        if isinstance(node.value, str) and ("@" in node.value or "~" in node.value):
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
        outer = len(self.scopes)
        self._type_params(node)
        self.scopes.append(function_scope(node))
        self._late += 1
        for child in body:
            self.visit(child)
        if isinstance(node, ast.Lambda):
            self._give_back(node.body)
        self._late -= 1
        del self.scopes[outer:]

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
        self.seen.definitions.append(node)
        for decorator in node.decorator_list:
            self._decorator(decorator)
        self._defaults(node.args)
        outer = len(self.scopes)
        self._type_params(node)
        for annotation in [a.annotation for a in nodes_of(node.args) if isinstance(a, ast.arg)] + [node.returns]:
            if annotation is not None:
                self._annotation(annotation)
        del self.scopes[outer:]
        self._bind(node.name)
        if self.scopes or self._late or not self._one_walk(node):
            self.function_body(node)

    def _one_walk(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        """Find what a function of the module does when it is called, and what it reads then, in one walk.

        False where what it reads may not be the same with its parameters at hand: then it is to be walked for that alone.
        """
        inner = _Walker()
        inner.called = True
        params = parameters(node.args)
        inner.params = frozenset(params)
        inner.function_body(node)
        found = inner.found
        self.seen.called[node] = _when_called(node, inner, params)
        if found.results or not self.certain.isdisjoint(found.late):
            return False
        for name, line in found.late.items():
            self.found.late.setdefault(name, line)
        self.found.global_binds |= found.global_binds
        self.found.wiped += found.wiped
        self.found.stars += found.stars
        self.found.dynamic |= found.dynamic
        self.seen.add(inner.seen)
        return True

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
        self.seen.definitions.append(node)
        for decorator in node.decorator_list:
            self._decorator(decorator)
        outer = len(self.scopes)
        self._type_params(node)
        for part in (*node.bases, *(keyword.value for keyword in node.keywords)):
            self.visit(part)
        self.class_body(node)
        del self.scopes[outer:]
        self._bind(node.name)

    def class_body(self, node: ast.ClassDef) -> None:
        """Walk the body of a class: it runs at once, its methods when they are called."""
        declared = {name for part in node.body if isinstance(part, ast.Global) for name in part.names}
        self.scopes.append(Scope(set(), frozenset(declared), is_class=True))
        for child in node.body:
            self.visit(child)
        self.scopes.pop()

    def _type_params(self, node: ast.AST) -> None:
        """A scope for `def f[T]`, only where there is such a thing."""
        listed = getattr(node, "type_params", ())
        if listed:
            self.scopes.append(Scope({part.name for part in listed}))
            for part in listed:
                self.seen.take(part)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        first, *rest = node.generators
        self.visit(first.iter)
        targets = {n.id for g in node.generators for n in nodes_of(g.target) if isinstance(n, ast.Name)}
        before = self._perhaps()
        self.scopes.append(Scope(targets))
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
        self.scopes.pop()
        self._surely(before)

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension

    # -- calls

    def visit_Call(self, node: ast.Call) -> None:
        magic = magic_call(node)
        if magic is not None:
            self._magic(*magic, node.lineno)
            for part in (*node.args, *(keyword.value for keyword in node.keywords)):
                if not isinstance(part, ast.Constant):
                    self.visit(part)
            self.seen.take(node)
            return
        self.seen.calls.append(node)
        code = None if self._late else _literal_code(node)
        if code is not None:
            self._other(code)
            return
        function = node.func
        self.visit(function)
        for argument in node.args:
            self.visit(argument)
        for keyword in node.keywords:
            self.visit(keyword.value)
        plain = function.id if isinstance(function, ast.Name) else ""
        if plain in {"dir", "vars"} and not (node.args or self._late):
            self.found.dynamic = True
        # `main` of unittest may have any name; a notebook gives it both of these.
        tests = {"argv", "exit"} <= {keyword.arg for keyword in node.keywords}
        self.found.dynamic |= tests or dotted(function) in _OF_MAIN or any(map(_is_main, node.args))
        if isinstance(function, ast.Attribute):
            self._read_perhaps(names_in_expression(node), node.lineno)
            self._receiver(node)
        for position in mutated_positions(plain or dotted(function)):
            if position < len(node.args):
                self._mutate(roots(node.args[position]))
        for keyword in node.keywords:
            if keyword.arg in {"out", "ax"}:
                self._mutate(roots(keyword.value))
        if plain and (self.called or not self._late):
            self.found.calls.append(self._call(node, plain))

    def _other(self, code: ast.Module) -> None:
        """Walk code that stands in a text: its nodes are not the statement's."""
        kept, self.seen = self.seen, Seen()
        for child in code.body:
            self.visit(child)
        self.seen = kept

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
            self._other(tree)
        elif kind == "cell" and name == "capture":
            for word in words[:1]:
                self._bind(word)
        else:
            shown = expanded(kind, name, text)
            perhaps = interpolated(shown) if "\n" in shown else shell_names(shown)
            for found in interpolated(shown) - perhaps:
                self._read(found, line)
            # As in a function: an error only where an exploration cell has it.
            self._late += 1
            for found in perhaps - self.certain:
                self._read(found, line)
            self._late -= 1
            # `%%bash --out text`
            for _, word in _BOUND_BY_SCRIPTS.findall(text.partition("\n")[0]) if kind == "cell" else ():
                self._bind(word)


def _is_main(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == "__main__"


def _literal_code(node: ast.Call) -> ast.Module | None:
    """The code in `exec("…")` and `eval("…")` where it is a literal: it can be read like any other."""
    known = isinstance(node.func, ast.Name) and node.func.id in {"exec", "eval"}
    if not known or len(node.args) != 1 or node.keywords or not isinstance(node.args[0], ast.Constant):
        return None
    text = node.args[0].value
    return plain_tree(text.strip()) if isinstance(text, str) else None
