"""The text of a cell as part of a module: the author's own lines, with their comments, moved and indented, never rewritten."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Iterator

#: Longest line of a signature.
WIDTH = 110


def without(text: str, nodes: Iterable[ast.stmt]) -> str:
    """The text without these statements, each of which has its lines for itself; comments right above one go with it."""
    lines = text.split("\n")
    gone: set[int] = set()
    for node in nodes:
        first, last = span(node)
        while first > 1 and lines[first - 2].startswith("#"):
            first -= 1
        while last < len(lines) and not lines[last].strip():
            last += 1
        gone |= set(range(first, last + 1))
    kept = [line for number, line in enumerate(lines, 1) if number not in gone]
    return "\n".join(kept).strip("\n")


def of(text: str, node: ast.stmt) -> str:
    """The lines of a statement, with its decorators and the comments right above it."""
    lines = text.split("\n")
    first, last = span(node)
    while first > 1 and lines[first - 2].startswith("#"):
        first -= 1
    return "\n".join(lines[first - 1 : last])


def span(node: ast.stmt) -> tuple[int, int]:
    """First and last line, counted from 1; decorators belong to what they decorate."""
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)]), node.end_lineno or node.lineno


def alone(text: str, node: ast.stmt, body: Iterable[ast.stmt]) -> bool:
    """Whether no other statement stands on the lines of this one."""
    first, last = span(node)
    others = (span(each) for each in body if each is not node)
    return all(end < first or begin > last for begin, end in others) and ";" not in _behind(text, node)


def _behind(text: str, node: ast.stmt) -> str:
    line = text.split("\n")[(node.end_lineno or node.lineno) - 1]
    return line.encode()[node.end_col_offset or 0 :].decode().partition("#")[0]


def indented(text: str, by: str = "    ") -> str:
    """The text one level deeper; what stands inside a string of several lines stays as it is."""
    inside = set(_inside_strings(text))
    lines = text.split("\n")
    return "\n".join(line if not line.strip() or n in inside else by + line for n, line in enumerate(lines, 1))


def _inside_strings(text: str) -> Iterator[int]:
    """Lines that begin inside a string."""
    depth, began = 0, 0
    starts, ends = getattr(tokenize, "FSTRING_START", -1), getattr(tokenize, "FSTRING_END", -1)
    for token in tokenize.generate_tokens(io.StringIO(text + "\n").readline):
        if token.type == tokenize.STRING:
            yield from range(token.start[0] + 1, token.end[0] + 1)
        elif token.type == starts:
            began = began if depth else token.start[0]
            depth += 1
        elif token.type == ends:
            depth -= 1
            if not depth:
                yield from range(began + 1, token.end[0] + 1)


def same(text: str, function: str, body: list[ast.stmt]) -> bool:
    """Whether the last function of this name in the text of a module has exactly this body, at its end."""
    found = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == function]
    tail = found[-1].body if found else []
    return any(_dump(tail[at : at + len(body)]) == _dump(body) for at in range(len(tail) - len(body) + 1))


def _dump(body: list[ast.stmt]) -> list[str]:
    return [ast.dump(node) for node in body]


def double_quoted(text: str) -> str:
    """The text of a module of ours with its strings in double quotes, where they hold nothing that would need a backslash."""
    lines = text.split("\n")
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.STRING]
    for token in reversed(tokens):
        inner = token.string[1:-1]
        plain = token.string.startswith("'") and not token.string.startswith("'''") and token.start[0] == token.end[0]
        if plain and not set(inner) & set("\\\"'"):
            line = lines[token.start[0] - 1]
            lines[token.start[0] - 1] = f'{line[: token.start[1]]}"{inner}"{line[token.end[1] :]}'
    return "\n".join(lines)


def folded(head: str, parts: list[str], tail: str) -> str:
    """`head` + the parts + `tail` in a line, or in a line for each part where that is too long."""
    line = f"{head}{', '.join(parts)}{tail}"
    if len(line) <= WIDTH or not parts:
        return line
    return "\n".join([head, *(f"    {part}," for part in parts), tail])
