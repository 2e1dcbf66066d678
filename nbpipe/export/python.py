"""Python code from syntax trees: a value is a node, so no text of a user is ever taken for code; long calls are folded."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

_WIDTH = 110


def value(data: Any) -> ast.expr:
    """The literal of plain data."""
    if isinstance(data, dict):
        return ast.Dict(keys=[value(key) for key in data], values=[value(item) for item in data.values()])
    if isinstance(data, (list, tuple)):
        elements = [value(item) for item in data]
        return ast.List(elements, ast.Load()) if isinstance(data, list) else ast.Tuple(elements, ast.Load())
    if isinstance(data, (int, float)) and not isinstance(data, bool) and data < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-data))
    if data is None or isinstance(data, (bool, int, float, str)):
        return ast.Constant(data)
    raise TypeError(f"{type(data).__name__} has no literal")


def call(function: str, *arguments: ast.expr, **keywords: ast.expr) -> ast.Call:
    """`function(…)`; `function` is a name of ours, dotted or not."""
    return ast.Call(
        dotted(function), list(arguments), [ast.keyword(arg=name, value=each) for name, each in keywords.items()]
    )


def dotted(name: str) -> ast.expr:
    """`a.b.c`."""
    first, *rest = name.split(".")
    found: ast.expr = ast.Name(first, ast.Load())
    for part in rest:
        found = ast.Attribute(found, part, ast.Load())
    return found


def assign(name: str, to: ast.expr) -> ast.Assign:
    """`name = …`."""
    return ast.Assign([ast.Name(name, ast.Store())], to)


def source(statements: Iterable[ast.stmt]) -> str:
    """The text of a module, folded to fit a screen. It parses to the very tree it was made from."""
    body = list(statements)
    module = ast.fix_missing_locations(ast.Module(body, []))
    parts: list[str] = []
    for before, node in zip([None, *body], body, strict=False):
        if before is not None:
            parts.append("\n" * _gap(before, node))
        parts.append("\n".join(lines_of(node, "")) + "\n")
    text = "".join(parts)
    if ast.dump(ast.parse(text)) != ast.dump(module):
        raise AssertionError("folding has changed the code")
    return text


def _gap(before: ast.stmt, node: ast.stmt) -> int:
    """Empty lines between two statements."""
    block = (ast.FunctionDef, ast.ClassDef)
    if isinstance(before, block) or isinstance(node, block):
        return 2
    imports = (ast.Import, ast.ImportFrom)
    if isinstance(before, imports) != isinstance(node, imports) or isinstance(node, ast.With):
        return 1
    return 0


def lines_of(node: ast.stmt, indent: str) -> list[str]:
    """The lines of a statement, folded; positions have to be set."""
    text = ast.unparse(node)
    if isinstance(node, ast.With):
        items = ", ".join(
            _expression(item.context_expr, indent)
            + (f" as {ast.unparse(item.optional_vars)}" if item.optional_vars else "")
            for item in node.items
        )
        inner = [line for each in node.body for line in lines_of(each, f"{indent}    ")]
        return [f"{indent}with {items}:", *inner]
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and "\n" not in text:
        return [f"{indent}{_target(node.targets[0])} = {_expression(node.value, indent)}"]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return [indent + _expression(node.value, indent)]
    return [f"{indent}{line}" if line else "" for line in text.splitlines()] if "\n" in text else [indent + text]


def _target(node: ast.expr) -> str:
    """Several names without the parentheses that older Pythons write."""
    if isinstance(node, ast.Tuple) and len(node.elts) > 1:
        return ", ".join(map(ast.unparse, node.elts))
    return ast.unparse(node)


def _expression(node: ast.expr, indent: str) -> str:
    """One line where it fits, else a line for each part of it."""
    text = ast.unparse(node)
    if len(indent) + len(text) <= _WIDTH or "\n" in text:
        return text
    deeper = f"{indent}    "
    if isinstance(node, ast.Call):
        parts = [_expression(each, deeper) for each in node.args]
        parts += [f"{each.arg}={_expression(each.value, deeper)}" for each in node.keywords]
        opening, closing = f"{ast.unparse(node.func)}(", ")"
    elif isinstance(node, ast.List) and node.elts:
        parts, opening, closing = [_expression(each, deeper) for each in node.elts], "[", "]"
    elif isinstance(node, ast.Dict) and node.keys and None not in node.keys:
        pairs = zip(node.keys, node.values, strict=True)
        parts = [f"{ast.unparse(key)}: {_expression(each, deeper)}" for key, each in pairs if key is not None]
        opening, closing = "{", "}"
    else:
        return text
    return "\n".join([opening, *(f"{deeper}{part}," for part in parts), f"{indent}{closing}"])
