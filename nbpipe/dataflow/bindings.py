"""Statements that bind, delete or choose a way: the part of the walk over code that keeps track of names."""

from __future__ import annotations

import ast

from nbpipe.dataflow.effects import Call
from nbpipe.dataflow.nodes import nodes_of
from nbpipe.dataflow.roots import dotted, roots
from nbpipe.dataflow.scopes import Scope, Scoped

_DISPLAYS = (ast.List, ast.ListComp, ast.Tuple)


class Bindings(Scoped):
    """Visits statements. Must not look into functions, classes or calls: `walker.py` does."""

    def visit_Assign(self, node: ast.Assign) -> None:
        """`a = b = value`."""
        self.visit(node.value)
        for target in node.targets:
            self._assign(target, node.value)
        if len(node.targets) > 1:
            names = [t.id for t in node.targets if isinstance(t, ast.Name)]
            for name in names[1:]:
                self._link(name, frozenset(names[:1]))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """`a: T = value`. The annotation of a function's local name is never evaluated."""
        if not self._late or not isinstance(node.target, ast.Name):
            self._annotation(node.annotation)
        else:
            self.seen.take(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self._assign(node.target, node.value)
        elif not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def _annotation(self, node: ast.expr) -> None:
        if not isinstance(node, ast.Name | ast.Attribute | ast.Constant):
            self.seen.take(node)
        for part in nodes_of(node):
            if isinstance(part, ast.Name) and not self._local(part.id) and part.id not in self.certain:
                (self.found.late if self._late else self.found.annotated).setdefault(part.id, part.lineno)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        """`(a := value)`."""
        self.visit(node.value)
        self._assign(node.target, node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """`a += value` changes what `a` holds, or binds it anew: both count."""
        self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self._read(node.target.id, node.lineno)
            self._mutate([node.target.id])
            self._bind(node.target.id)
            held = roots(node.value) if isinstance(node.value, _DISPLAYS) else frozenset()
            self._link(node.target.id, held | {node.target.id})
        else:
            self._assign(node.target, node.value)

    def _assign(self, target: ast.expr, value: ast.expr | None) -> None:
        if isinstance(target, ast.Name):
            self._bind(target.id)
            self._rebind(target.id, roots(value))
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and not self._local(target.id):
                self.found.results.append((target.id, self._call(value, value.func.id)))
        elif isinstance(target, (ast.Tuple, ast.List)):
            for item, part in zip(target.elts, _parts(target, value), strict=True):
                self._assign(item, part)
        elif isinstance(target, ast.Starred):
            self._assign(target.value, value)
        else:
            self.visit(target)
            name = dotted(target) if isinstance(target, ast.Attribute) else ""
            if name and not self._late and not self._local(name.split(".")[0]):
                self.found.patched.append((name.split(".")[0], name, target.lineno))
            owners = _owners(target)
            self._mutate(owners)
            for owner in owners:
                self._link(owner, roots(value) - {owner})

    def _call(self, node: ast.Call, callee: str) -> Call:
        args = tuple(self._behind(roots(argument)) for argument in node.args)
        keywords = tuple((k.arg or "", self._behind(roots(k.value))) for k in node.keywords)
        return Call(callee, args, keywords)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """`a.b`, read or assigned."""
        if type(node.ctx) is not ast.Load:
            self.seen.stored.append(node)
        self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """`a[b]`, read or assigned."""
        if type(node.ctx) is not ast.Load:
            self.seen.stored.append(node)
        self.visit(node.value)
        self.visit(node.slice)

    def visit_Delete(self, node: ast.Delete) -> None:
        """`del a, b[0], c.x`."""
        for target in node.targets:
            self.visit(target)
            if not isinstance(target, ast.Name):
                self._mutate(_owners(target))

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        """A loop may run no time at all."""
        self.visit(node.iter)
        before = self._perhaps()
        self._assign(node.target, node.iter)
        for child in node.body:
            self.visit(child)
        self._surely(before)
        if node.orelse:
            self._ways([node.orelse], all_ways=not _breaks(node.body))

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While) -> None:
        """The test runs at least once."""
        self.visit(node.test)
        self._ways([node.body], all_ways=False)
        if node.orelse:
            self._ways([node.orelse], all_ways=not _breaks(node.body))

    def visit_If(self, node: ast.If) -> None:
        """One of two ways."""
        self.visit(node.test)
        self._ways([node.body, node.orelse], all_ways=True)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        """One of two values."""
        self.visit(node.test)
        for part in (node.body, node.orelse):
            before = self._perhaps()
            self.visit(part)
            self._surely(before)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """Only the first operand is sure to be evaluated."""
        self.visit(node.values[0])
        before = self._perhaps()
        for part in node.values[1:]:
            self.visit(part)
        self._surely(before)

    def visit_Match(self, node: ast.Match) -> None:
        """One case, or none unless the last matches anything."""
        self.visit(node.subject)
        before, ends = self.certain, []
        self._unsure += 1
        for case in node.cases:
            self.certain = before
            for part in (case.pattern, case.guard, *case.body):
                if part is not None:
                    self.visit(part)
            self._captured(case.pattern, node.subject)
            ends.append(self.certain)
        self._unsure -= 1
        last = node.cases[-1]
        anything = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None and last.guard is None
        self.certain = frozenset.intersection(*ends) if anything else before

    def _captured(self, pattern: ast.pattern, subject: ast.expr) -> None:
        for part in nodes_of(pattern):
            name = part.name if isinstance(part, ast.MatchAs | ast.MatchStar) else None
            name = part.rest if isinstance(part, ast.MatchMapping) else name
            if name:
                self._link(name, roots(subject))

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        """The body runs, or something raises."""
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self._assign(item.optional_vars, item.context_expr)
        suppresses = any("suppress" in dotted(getattr(i.context_expr, "func", i.context_expr)) for i in node.items)
        self._soft += suppresses
        before = self.certain
        for child in node.body:
            self.visit(child)
        self._soft -= suppresses
        self.certain = before if suppresses else self.certain

    visit_AsyncWith = visit_With

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        """The body may stop anywhere; a handler goes on from there."""
        survives = any(_catches_missing_names(handler) for handler in node.handlers)
        before = self.certain
        self._unsure += 1
        self._soft += survives
        for child in node.body:
            self.visit(child)
        self._soft -= survives
        self._ways([node.orelse], all_ways=True)
        ends = [self.certain]
        for handler in node.handlers:
            self.certain = before
            self.visit(handler)
            if not (handler.body and isinstance(handler.body[-1], ast.Raise)):
                ends.append(self.certain)
        self._unsure -= 1
        self.certain = before
        for child in node.finalbody:
            self.visit(child)
        self.certain = self.certain | frozenset.intersection(*ends)

    visit_TryStar = visit_Try

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        """The handler's name is bound inside and deleted at its end."""
        if node.type is not None:
            self.visit(node.type)
        in_class = bool(self.scopes) and self.scopes[-1].is_class
        plain = node.name is None or in_class or self._local(node.name)
        if not plain:
            self.scopes.append(Scope({node.name or ""}))
        elif node.name:
            self._bind(node.name)
        for child in node.body:
            self.visit(child)
        if not plain:
            self.scopes.pop()
        if node.name:
            before = self._perhaps()
            self._unbind(node.name)
            self._surely(before)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        """`case pattern as name`, `case name`."""
        if node.name:
            self._bind(node.name)
        self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        """`case [first, *rest]`."""
        if node.name:
            self._bind(node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        """`case {"a": x, **rest}`."""
        if node.rest:
            self._bind(node.rest)
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        """`import a.b` binds `a`."""
        self.seen.imports.append(node)
        for alias in node.names:
            self._bind(alias.asname or alias.name.split(".")[0])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """`from a import *` binds what nobody can see."""
        self.seen.imports.append(node)
        for alias in node.names:
            if alias.name == "*":
                self.found.stars.append(node)
            else:
                self._bind(alias.asname or alias.name)


def _owners(target: ast.expr) -> frozenset[str]:
    """Names whose objects an assignment to `a[i]` or `a.b` changes."""
    return roots(target.value) if isinstance(target, (ast.Subscript, ast.Attribute)) else roots(target)


def _catches_missing_names(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = {part.id for part in nodes_of(handler.type) if isinstance(part, ast.Name)}
    return bool(caught & {"NameError", "Exception", "BaseException"})


def _breaks(body: list[ast.stmt]) -> bool:
    return any(isinstance(part, ast.Break) for child in body for part in nodes_of(child))


def _parts(target: ast.Tuple | ast.List, value: ast.expr | None) -> list[ast.expr | None]:
    """The expression behind each of several targets: its own part where that is plain, else the whole."""
    length = len(target.elts)
    starred = any(isinstance(item, ast.Starred) for item in target.elts)
    if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == length and not starred:
        return list(value.elts)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and not starred:
        plain = not any(isinstance(argument, ast.Starred) for argument in value.args)
        if value.func.id == "zip" and plain and len(value.args) == length:
            return list(value.args)
        if value.func.id == "enumerate" and plain and value.args and length == 2:  # noqa: PLR2004  number and item
            return [None, value.args[0]]
    return [value] * length
