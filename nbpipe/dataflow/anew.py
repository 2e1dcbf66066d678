"""Definitions that give something else each time they are made: every stage that uses one makes it anew."""

from __future__ import annotations

import ast
import re

from nbpipe.dataflow.nodes import nodes_of
from nbpipe.dataflow.roots import dotted

#: The clock, names drawn by chance, the process, and draws of the shared generators.
_CALLS = re.compile(
    r"time\.(time|time_ns|perf_counter|monotonic|strftime|localtime|gmtime|ctime)|(\w+\.)*(datetime|date)\.(now|utcnow|today)|"
    r"(\w+\.)?Timestamp\.(now|utcnow|today)|(uuid\.)?uuid[14]|os\.getpid|secrets\.\w+|tempfile\.\w+|"
    r"random\.(random|randint|randrange|choice|choices|sample|uniform|gauss|getrandbits)|"
    r"(np|numpy)\.random\.(rand|randn|randint|random|choice|uniform|normal|permutation)"
)


def made_anew(node: ast.stmt) -> str:
    """The call in a definition or parameter, such as `time.time()`, by which it is another one in each process; else ""."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        parts = [*node.args.defaults, *(default for default in node.args.kw_defaults if default is not None)]
        return _first(parts)
    if isinstance(node, ast.ClassDef):
        made = [part for part in node.body if isinstance(part, (ast.Assign, ast.AnnAssign))]
        return _first(
            [part.value for part in made if part.value is not None and not isinstance(part.value, ast.Lambda)]
        )
    return _first([node.value]) if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None else ""


def _first(parts: list[ast.expr]) -> str:
    calls = [dotted(part.func) for each in parts for part in nodes_of(each) if isinstance(part, ast.Call)]
    return next((f"{name}()" for name in calls if _CALLS.fullmatch(name)), "")
