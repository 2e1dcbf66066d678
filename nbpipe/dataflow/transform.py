"""IPython's cell syntax as plain Python, line for line, and the normal form that keys are made of.

IPython is imported only for a cell that plain Python cannot parse.
"""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
import warnings

from nbpipe.errors import PipelineError
from nbpipe.model import Code

#: Cell magics whose body is Python that runs in the notebook's namespace.
CODE_MAGICS = frozenset(
    {"time", "timeit", "capture", "prun", "memit", "mprun", "lprun", "python_inline", "wandb", "heat"}
)
#: Trees that are kept for those who ask next. More of them would cost more time than they save: Python's garbage collector
#: goes through all nodes again and again.
TREES = 128
_FLAGS = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_BLANK = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
)
#: IPython empties such lines, which matters inside a string.
_WHITE_LINE = re.compile(r"^[ \t]+$", re.MULTILINE)
_CELL_MAGIC = re.compile(r"\s*%%(?!%)(\S+)[ \t]*(.*)$")
#: What IPython runs as a magic although it has no %: only where the cell is one line.
_AUTOMAGIC = re.compile(
    r"(cd|ls|ll|pwd|cat|cp|mv|mkdir|rm|rmdir|less|more|man|matplotlib|pylab|who|whos|pip|conda|uv|env|set_env|time|timeit|prun|"
    r"run|load_ext|reload_ext|autoreload|config|reset|store|alias|precision|pprint|xmode|history)\b(?!\s*[=(]|\.)"
)


def to_python(body: str) -> str:
    """The body as Python, with the same number of lines where that is possible.

    A magic becomes the call that IPython makes of it. Behind a `%%time`-like first line the code stays code. Raises
    `PipelineError` with the line (counted in the body) where even IPython cannot read it.
    """
    return _translated(body)[0]


def parse(body: str) -> ast.Module:
    """The tree of the body, after `to_python`. Not a copy: treat it as read-only. Raises `PipelineError`."""
    return _translated(body)[1]


def statements(code: Code) -> list[ast.stmt]:
    """The statements of a cell. One that is allowed to fail and is no Python has none; else raises `PipelineError`."""
    try:
        return parse(code.body).body
    except PipelineError:
        if code.may_raise:
            return []
        raise


@functools.lru_cache(maxsize=4096)
def normalized(body: str) -> str:
    """The code without comments, formatting and positions, as Python; docstrings count. The raw text if it cannot be parsed."""
    try:
        text = ast.unparse(parse(body))
    except (PipelineError, ValueError, RecursionError):
        return body
    return f"{text};" if ";" in body and _quiet(body) else text


def _quiet(body: str) -> bool:
    """The cell ends in `;`, which keeps IPython from showing the last value."""
    last = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(body).readline):
            if token.type not in _BLANK:
                last = token.string
    except (tokenize.TokenError, SyntaxError):
        return body.rstrip().endswith(";")
    return last == ";"


@functools.lru_cache(maxsize=TREES)
def _translated(body: str) -> tuple[str, ast.Module]:
    tree = plain_tree(body)
    if tree is not None and not (_WHITE_LINE.search(body) and re.search(r"'{3}|\"{3}", body)):
        return body, tree
    text = _by_ipython(body)
    return text, _tree_or_error(text)


def plain_tree(text: str) -> ast.Module | None:
    """The tree where the text is plain Python, top-level `await` included; else None."""
    try:
        return _tree(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _tree(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        tree = compile(text, "<cell>", "exec", _FLAGS, dont_inherit=True)
    if not isinstance(tree, ast.Module):  # pragma: no cover - mode "exec" gives a module
        raise TypeError(type(tree))
    return tree


def _tree_or_error(text: str) -> ast.Module:
    try:
        return _tree(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        line = error.lineno if isinstance(error, SyntaxError) and error.lineno else 1
        reason = error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
        raise PipelineError(f"this is not Python: {reason}", line=line, fix="Correct the line.") from None


def _by_ipython(body: str) -> str:
    lines = body.split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    match = _CELL_MAGIC.match(lines[first]) if lines else None
    if match is not None:
        return _cell_magic(match[1], match[2].strip(), lines, first)
    from IPython.core.inputtransformer2 import TransformerManager

    if len([line for line in lines if line.strip()]) == 1 and _AUTOMAGIC.match(body.strip()):
        body = "\n" * first + "%" + body.strip()
    try:
        text = TransformerManager().transform_cell(body)
    except SyntaxError as error:
        raise PipelineError(
            f"this is not Python: {error.msg}", line=error.lineno or 1, fix="Correct the line."
        ) from None
    return str(text)


def _cell_magic(name: str, line: str, lines: list[str], first: int) -> str:
    rest = "\n".join(lines[first + 1 :])
    head = "\n" * first
    if name not in CODE_MAGICS:
        return f"{head}get_ipython().run_cell_magic({name!r}, {line!r}, {rest!r})" + "\n" * (len(lines) - first - 1)
    try:
        code = to_python(rest)
    except PipelineError as error:
        error.line = (error.line or 1) + first + 1
        raise
    return f"{head}get_ipython().run_cell_magic({name!r}, {line!r}, '')\n{code}"
