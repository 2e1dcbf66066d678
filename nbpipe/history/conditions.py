"""Conditions such as `acc > 0.9` or `lr = 0.01 and model = cnn`, parsed without `eval` and turned into SQL.

The language is that of a check's thresholds (`nbpipe.notebook.thresholds`), for columns instead of variables: names,
numbers, texts, `+ - * /`, `abs`, comparisons, `and`, `or`, `not`, `in`. `=` means `==`, `AND` means `and`. A name is a
column, else a metric, else a parameter; `metrics.acc`, `params.lr`, `tags.team` and `metrics["val/acc"]` say which. A
bare word to the right of `=` and `!=` is a text. A row that lacks a name meets no comparison with it.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from nbpipe.errors import UsageError

SPACES = ("metrics", "params", "tags")
_LONGEST = 1000
_TEXTS_APART = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
_EQUALS = re.compile(r"(?<![<>=!])=(?!=)")
_WORDS = re.compile(r"\b(AND|OR|NOT|IN)\b")
_TRUTH = {"true": 1, "True": 1, "false": 0, "False": 0}
_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "({} + {})",
    ast.Sub: "({} - {})",
    ast.Mult: "({} * {})",
    ast.Div: "({} * 1.0 / {})",
}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "=",
    ast.NotEq: "<>",
}


class Column(NamedTuple):
    """How SQL says a name: as a number and as a text."""

    num: str
    text: str


#: Space ("" where none is said) and name -> its column.
Resolve = Callable[[str, str], Column]


class Sql(NamedTuple):
    """A fragment and the values of its question marks."""

    text: str
    values: tuple[Any, ...] = ()


def condition_sql(text: str, resolve: Resolve) -> Sql:
    """The condition for a WHERE clause. Raises UsageError that says which part is not understood."""
    return _Writer(text, resolve).truth(parse(text))


def parse(text: str) -> ast.expr:
    """The condition as a tree; what its nodes may be is for the reader to check. Raises UsageError."""
    if len(text) > _LONGEST:
        raise UsageError(f"a condition has {_LONGEST} characters at most", name=text[:40])
    parts = _TEXTS_APART.split(text)
    parts[::2] = [_WORDS.sub(lambda word: word[0].lower(), _EQUALS.sub("==", part)) for part in parts[::2]]
    try:
        return ast.parse("".join(parts).strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _refused(text, f"{text!r} is not a condition") from None


def column_name(node: ast.expr) -> tuple[str, str] | None:
    """Space and name that a node says; None if it is no name."""
    match node:
        case ast.Name(id=name):
            return "", name
        case ast.Attribute(value=ast.Name(id=space), attr=name) if space in SPACES:
            return space, name
        case ast.Subscript(value=ast.Name(id=space), slice=ast.Constant(value=str(name))) if space in SPACES:
            return space, name
    return None


def _refused(text: str, why: str) -> UsageError:
    return UsageError(why, name=text[:80], fix='Write, say, "acc > 0.9" or "lr = 0.01 and model = cnn".')


class _Writer:
    """Writes the SQL of one condition. Only what is listed here becomes SQL; values travel beside it."""

    def __init__(self, text: str, resolve: Resolve) -> None:
        self._text = text
        self._resolve = resolve

    def truth(self, node: ast.expr) -> Sql:
        match node:
            case ast.BoolOp(op=op, values=parts):
                word = " AND " if isinstance(op, ast.And) else " OR "
                return self._joined(word, [self.truth(part) for part in parts])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.truth(operand)
                return Sql(f"(NOT {inner.text})", inner.values)
            case ast.Compare(left=left, ops=ops, comparators=others):
                sides = [left, *others]
                pairs = zip(sides, ops, sides[1:], strict=False)
                return self._joined(" AND ", [self._compare(a, op, b) for a, op, b in pairs])
        raise self._no(node, "compares nothing")

    @staticmethod
    def _joined(word: str, parts: list[Sql]) -> Sql:
        return Sql(f"({word.join(part.text for part in parts)})", tuple(v for part in parts for v in part.values))

    def _compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Sql:
        if isinstance(op, (ast.In, ast.NotIn)):
            return self._contains(left, right, negated=isinstance(op, ast.NotIn))
        sign = _COMPARE.get(type(op))
        if sign is None:
            raise self._no(right, "is compared in a way that is not known")
        if isinstance(op, (ast.Eq, ast.NotEq)) and isinstance(right, ast.Name) and right.id not in _TRUTH:
            right = ast.Constant(right.id)
        if _is_text(left) or _is_text(right):
            a, b = self._as_text(left), self._as_text(right)
        else:
            a, b = self._number(left), self._number(right)
        return Sql(f"({a.text} {sign} {b.text})", (*a.values, *b.values))

    def _contains(self, left: ast.expr, right: ast.expr, *, negated: bool) -> Sql:
        """`"res" in model`, or `model in ("cnn", "mlp")`."""
        if isinstance(right, (ast.Tuple, ast.List)):
            if not right.elts:
                raise self._no(right, "is an empty list")
            found = self._joined(" OR ", [self._compare(left, ast.Eq(), item) for item in right.elts])
        else:
            part, whole = self._as_text(left), self._as_text(right)
            found = Sql(f"(instr({whole.text}, {part.text}) > 0)", (*whole.values, *part.values))
        return Sql(f"(NOT {found.text})", found.values) if negated else found

    def _as_text(self, node: ast.expr) -> Sql:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return Sql("?", (node.value,))
        named = column_name(node)
        if named is None:
            raise self._no(node, "is compared with a text")
        return Sql(self._resolve(*named).text)

    def _number(self, node: ast.expr) -> Sql:
        match node:
            case ast.Constant(value=bool(value)):
                return Sql("?", (int(value),))
            case ast.Constant(value=int() | float() as value) if math.isfinite(value) and abs(value) < 2**63:
                return Sql("?", (value,))
            case ast.Name(id=name) if name in _TRUTH:
                return Sql("?", (_TRUTH[name],))
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=operand):
                inner = self._number(operand)
                return Sql(f"({'-' if isinstance(op, ast.USub) else '+'} {inner.text})", inner.values)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                a, b = self._number(left), self._number(right)
                return Sql(_ARITHMETIC[type(op)].format(a.text, b.text), (*a.values, *b.values))
            case ast.Call(func=ast.Name(id="abs"), args=[argument], keywords=[]):
                inner = self._number(argument)
                return Sql(f"abs({inner.text})", inner.values)
        named = column_name(node)
        if named is None:
            raise self._no(node, "is not understood")
        return Sql(self._resolve(*named).num)

    def _no(self, node: ast.expr, why: str) -> UsageError:
        return _refused(self._text, f"'{ast.unparse(node)[:80]}' {why} in the condition {self._text!r}")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
