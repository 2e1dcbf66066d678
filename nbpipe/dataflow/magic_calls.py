"""Magics and shell lines as they look once IPython has made Python of them. Pure."""

from __future__ import annotations

import ast
import re

from nbpipe.dataflow.nodes import nodes_of
from nbpipe.dataflow.transform import plain_tree

#: Line magics that run the rest of their line as code.
_LINE_CODE = frozenset({"time", "timeit", "prun", "memit"})
#: IPython's own cell magics in whose text, below the line, it expands nothing.
_OWN_TEXT = frozenset(
    {"bash", "sh", "script", "cmd", "perl", "ruby", "pypy", "python", "python2", "python3", "file", "writefile"}
    | {"html", "javascript", "js", "latex", "markdown", "svg"}
)


def magic_call(node: ast.AST) -> tuple[str, str, str] | None:
    """(kind, name, text) of a magic: kind is "line", "cell", "system" or "getoutput"; None for any other node."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return None
    owner = node.func.value
    if not (isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name) and owner.func.id == "get_ipython"):
        return None
    texts = [a.value if isinstance(a, ast.Constant) and isinstance(a.value, str) else "" for a in node.args]
    attribute = node.func.attr
    if attribute == "run_line_magic" and texts:
        return "line", texts[0], texts[1] if len(texts) > 1 else ""
    if attribute == "run_cell_magic" and texts:
        return "cell", texts[0], "\n".join(texts[1:])
    if attribute in {"system", "getoutput"}:
        return attribute, "", texts[0] if texts else ""
    return None


def code_in_magic(name: str, text: str) -> ast.Module | None:
    """The code that a magic such as `%time x = f(y)` runs; None if it runs none or it does not parse."""
    if name not in _LINE_CODE:
        return None
    return plain_tree(re.sub(r"^(\s*-\w+(\s*\d+)?\s+)+", "", text))


def interpolated(text: str) -> set[str]:
    """Names that a shell line or magic expands: `{name}`, `{name.attr}`, `$name`."""
    return _in_braces(text) | shell_names(text)


def shell_names(text: str) -> set[str]:
    """Those of them that may be the shell's own: `$name`, and `{a,b}`. Where nothing has the name, the text stays as it is."""
    found = set(re.findall(r"(?<![\\$\w])\$([A-Za-z_]\w*)", text))
    return found | _in_braces("".join(re.findall(r"\{[^{}]+,[^{}]*\}", text)))


def expanded(kind: str, name: str, text: str) -> str:
    """The part of a magic's text in which IPython may expand names."""
    return text.partition("\n")[0] if kind == "cell" and name.lower() in _OWN_TEXT else text


def _in_braces(text: str) -> set[str]:
    found: set[str] = set()
    for expression in re.findall(r"(?<!\{)\{([^{}]+)\}", text):
        tree = plain_tree(expression.split("!")[0].split(":")[0].strip())
        found |= {node.id for node in nodes_of(tree) if isinstance(node, ast.Name)} if tree else set()
    return found
