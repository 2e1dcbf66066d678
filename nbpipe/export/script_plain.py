"""Cells as plain Python: what IPython would do for magics and shell lines is done without it, or refused with its line."""

from __future__ import annotations

import ast
import re

from nbpipe.dataflow.magic_calls import interpolated, magic_call
from nbpipe.dataflow.transform import plain_tree, to_python
from nbpipe.errors import UnsupportedError
from nbpipe.model import Code

#: Magics that are about the notebook's page or its kernel, and say nothing to a program.
_IDLE = frozenset(
    {
        "matplotlib",
        "config",
        "load_ext",
        "reload_ext",
        "autoreload",
        "precision",
        "colors",
        "xmode",
        "gui",
        "pip",
        "conda",
    }
)
#: Names that only IPython gives, and what to write instead.
_IPYTHON = {"get_ipython": "the magic as plain Python", "In": "the code itself", "Out": "a variable"}
#: Names that say something else in a module, and would choose another way there.
_MODULE = {
    "__name__": ("notebook, whose __name__ is set, or stands in an f-string", "the text '__main__', or a variable"),
    "__file__": ("notebook, in which __file__ is not defined", "a path from the folder of the notebook"),
}
_DYNAMIC = frozenset({"globals", "locals", "vars", "dir", "exec", "eval"})


def plain(code: Code, stage: str) -> str:
    """The cell's text as Python. Raises UnsupportedError for what a module cannot do, with stage, cell and line."""
    if code.may_raise:
        raise refused("a cell that may fail (raises-exception)", "write try and except", stage, code, 1)
    text = code.body
    if plain_tree(text) is None:
        text = _without_magics(to_python(text), stage, code)
    text = as_main(text)
    tree = ast.parse(text)
    for node in ast.walk(tree):
        _refuse(node, stage, code)
    for statement in tree.body:
        _refuse_outside(statement, stage, code)
    return text.rstrip()


def as_main(text: str) -> str:
    """The text with `'__main__'` for each `__name__`, which is that in a notebook and not in a module of a package.

    Where it is set, or stands in an f-string, which may have no such quotes, it is left as it is.
    """
    if "__name__" not in text:
        return text
    nodes = list(ast.walk(ast.parse(text)))
    found = [node for node in nodes if isinstance(node, ast.Name) and node.id == "__name__"]
    inside = {id(each) for node in nodes if isinstance(node, ast.JoinedStr) for each in ast.walk(node)}
    if not all(isinstance(node.ctx, ast.Load) for node in found):
        return text
    lines = text.encode().split(b"\n")
    for node in sorted(found, key=lambda each: each.col_offset, reverse=True):
        if id(node) not in inside:
            line = lines[node.lineno - 1]
            lines[node.lineno - 1] = line[: node.col_offset] + b"'__main__'" + line[node.end_col_offset :]
    return b"\n".join(lines).decode()


def refused(what: str, instead: str, stage: str, code: Code, line: int) -> UnsupportedError:
    """The error for something in a cell."""
    at = code.line + line - 1
    return UnsupportedError(
        f"plain Python has no {what} (line {at})",
        stage=stage,
        cell=code.cell,
        name=what,
        fix=f"In its place: {instead}.",
    )


def _without_magics(text: str, stage: str, code: Code) -> str:
    """Each magic as the statement that does the same, at its place."""
    lines = text.split("\n")
    tree = ast.parse(text)
    found = [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and _magic(node) is not None]
    for node in sorted(found, key=lambda each: each.lineno, reverse=True):
        first, last = node.lineno, node.end_lineno or node.lineno
        pad = lines[first - 1][: node.col_offset]
        lines[first - 1 : last] = [pad + line for line in _instead(node, stage, code).split("\n")]
    text = "\n".join(lines)
    for inner in ast.walk(ast.parse(text)):
        if magic_call(inner) is not None:
            raise refused("magic inside an expression", "the call that it stands for", stage, code, inner.lineno)  # type: ignore[attr-defined]
    return text


def _magic(node: ast.stmt) -> tuple[str, str, str] | None:
    if isinstance(node, (ast.Expr, ast.Assign)):
        return magic_call(node.value)
    return None


def _instead(node: ast.stmt, stage: str, code: Code) -> str:
    found = _magic(node)
    assert found is not None  # noqa: S101 - the caller has looked
    kind, name, text = found
    target = ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""
    if kind == "line" and name in _IDLE and not target:
        return f"pass  # %{name} {text}".rstrip()
    if kind == "line" and name == "time" and plain_tree(text) is not None and not target:
        return text
    if kind == "line" and name == "cd" and text and not interpolated(text) and not target:
        return f"__import__('os').chdir({text.strip()!r})"
    pair = re.fullmatch(r"(\w+)[= ](.*)", text)
    if kind == "line" and name in {"env", "set_env"} and pair and not interpolated(text) and not target:
        return f"__import__('os').environ[{pair[1]!r}] = {pair[2]!r}"
    if kind == "cell" and name in {"time", "capture", "prun"} and not text.strip():
        return f"pass  # %%{name}"
    if kind in {"system", "getoutput"}:
        if interpolated(text):
            raise refused("shell line with Python's variables in it", "subprocess.run([...])", stage, code, node.lineno)
        run = f"__import__('subprocess').run({text!r}, shell=True, check=False"
        if kind == "getoutput":
            return f"{target or '_'} = {run}, capture_output=True, text=True).stdout.splitlines()"
        return f"{target + ' = ' if target else ''}{run})"
    said = f"%{name}" if kind == "line" else f"%%{name}"
    raise refused(f"magic {said}", "a call of a function, or a program of its own", stage, code, node.lineno)


def _refuse(node: ast.AST, stage: str, code: Code) -> None:
    if isinstance(node, ast.Name) and node.id in _IPYTHON:
        raise refused(node.id, _IPYTHON[node.id], stage, code, node.lineno)
    if isinstance(node, ast.Name) and node.id in _MODULE:
        raise refused(*_MODULE[node.id], stage, code, node.lineno)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _DYNAMIC:
        instead = "the names themselves, or a dictionary of your own"
        raise refused(f"namespace of a notebook, which {node.func.id}() asks for", instead, stage, code, node.lineno)
    if isinstance(node, ast.Global):
        names = ", ".join(node.names)
        raise refused(
            f"notebook whose globals can be set: global {names}", "return the value", stage, code, node.lineno
        )
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        if any(module.partition(".")[0] in {"nbpipe", "IPython"} for module in modules):
            instead = "os.environ for a secret, print for a display"
            raise refused(
                f"{modules[0].partition('.')[0]}, which it is to do without", instead, stage, code, node.lineno
            )
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            raise refused("import * in a function", f"from {node.module} import the names", stage, code, node.lineno)


def _refuse_outside(statement: ast.stmt, stage: str, code: Code) -> None:
    """What runs in the event loop of a notebook."""
    todo: list[ast.AST] = [statement]
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)):
            raise refused("event loop of its own: await", "asyncio.run(...)", stage, code, node.lineno)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            todo += ast.iter_child_nodes(node)
