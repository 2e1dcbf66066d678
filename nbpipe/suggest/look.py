"""A quick look at one cell: which names it touches, what kind of work it does, what must not be cut away from it.

Coarser than the dataflow analysis on purpose: it only has to find cuts that are surely safe.
"""

from __future__ import annotations

import ast
import re
from typing import Literal

import msgspec

from nbpipe.dataflow.transform import to_python
from nbpipe.errors import PipelineError

Kind = Literal["define", "load", "prepare", "train", "evaluate", "plot", "save", "other"]

#: Calls that say what a cell is about; the first kind that fits counts.
_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("save", re.compile(r"^(to_csv|to_parquet|to_pickle|to_excel|save|savez|dump|save_model|export)$")),
    (
        "train",
        re.compile(r"^(fit|fit_transform|train|fit_generator|partial_fit|backward|fit_predict|minimize|optimize)$"),
    ),
    (
        "evaluate",
        re.compile(r"^(score|evaluate|predict|predict_proba|cross_val_score|.*_score|confusion_matrix|summary)$"),
    ),
    ("load", re.compile(r"^(read_\w+|load|load_\w+|fetch_\w+|loadtxt|genfromtxt|load_dataset|urlopen)$")),
    ("plot", re.compile(r"^(plot|show|hist|scatter|bar|imshow|boxplot|heatmap|pairplot|\w+plot|subplots|figure)$")),
)
#: What these give lives in one process: it cannot be stored, or only by losing what makes it useful.
_FRAGILE = re.compile(
    r"^(open|connect|cursor|create_engine|Session|session|subplots|subplot|figure|gca|gcf|add_subplot|axes|iter|zip|map|"
    r"filter|enumerate|reversed|reader|DictReader|writer|DictWriter|Lock|Thread|Pool|ThreadPoolExecutor|"
    r"ProcessPoolExecutor|Popen|socket|urlopen|SparkSession|getOrCreate|Client|FacetGrid|PairGrid|JointGrid|jointplot|"
    r"pairplot|relplot|catplot|lmplot|displot|ZipFile|TemporaryFile|TemporaryDirectory|interact|display|Output|"
    r"InteractiveSession|DataLoader|scandir|twinx|twiny)$"
)
_HISTORY = re.compile(r"^(_+|_i+|_\d+|_i\d+|Out|In|_oh|_ih|_dh)$")
_DYNAMIC = frozenset({"globals", "locals", "exec", "eval", "vars", "get_ipython", "__import__"})
_DYNAMIC_MAGIC = re.compile(
    r"^\s*%{1,2}(run|store|load|macro|recall|rerun|sql|R|px|debug|reset|xdel|who|whos|pylab)\b", re.MULTILINE
)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a quick look finds in a code cell."""

    #: Names it mentions, bound at module scope or not.
    reads: frozenset[str] = frozenset()
    binds: frozenset[str] = frozenset()
    #: Of the bound names, those whose values live in one process.
    fragile: frozenset[str] = frozenset()
    kind: Kind = "other"
    #: Reads the results of earlier cells by their number, or names that no analysis can see.
    history: bool = False
    dynamic: bool = False
    #: Nothing but comments and blank lines.
    empty: bool = False
    #: Only shows something: binds nothing, changes nothing that is easy to see.
    only_shows: bool = False


def look_at(source: str) -> Look:
    """Look at the source of one code cell. A cell that cannot be parsed counts as dynamic."""
    try:
        tree = _parse(source)
    except (SyntaxError, PipelineError, ValueError):
        return Look(dynamic=True)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    reads = frozenset(node.id for node in names if isinstance(node.ctx, ast.Load))
    binds = frozenset(node.id for node in names if isinstance(node.ctx, ast.Store)) | _defined(tree)
    return Look(
        reads=reads,
        binds=binds,
        fragile=_fragile(tree),
        kind=_kind(tree),
        history=any(_HISTORY.match(name) for name in reads),
        dynamic=bool(reads & (_DYNAMIC - {"get_ipython"})) or bool(_DYNAMIC_MAGIC.search(source)),
        empty=not tree.body,
        only_shows=bool(tree.body) and all(_shows(statement) for statement in tree.body),
    )


def _parse(source: str) -> ast.Module:
    tree = compile(to_python(source), "<cell>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if not isinstance(tree, ast.Module):  # pragma: no cover - mode "exec" gives a module
        raise TypeError(type(tree))
    return tree


def _defined(tree: ast.Module) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return frozenset(found)


def _fragile(tree: ast.Module) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _gives_fragile(node.value):
            for target in node.targets:
                found |= {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            found |= {part.id for part in ast.walk(node.optional_vars) if isinstance(part, ast.Name)}
        elif isinstance(node, ast.NamedExpr) and _gives_fragile(node.value):
            found.add(node.target.id)
    return frozenset(found)


def _gives_fragile(value: ast.expr) -> bool:
    if isinstance(value, ast.GeneratorExp):
        return True
    if isinstance(value, ast.Tuple | ast.List):
        return any(_gives_fragile(item) for item in value.elts)
    if not isinstance(value, ast.Call):
        return False
    chain = _call_names(value)
    return any(_FRAGILE.match(name) for name in chain) or "plot" in chain


def _call_names(node: ast.expr) -> list[str]:
    """Names in a chain of calls and attributes, outermost first: `a.b(x).c(y)` gives c, b, a."""
    found: list[str] = []
    current: ast.expr = node
    while True:
        if isinstance(current, ast.Call):
            current = current.func
        elif isinstance(current, ast.Attribute):
            found.append(current.attr)
            current = current.value
        elif isinstance(current, ast.Subscript):
            current = current.value
        else:
            return [*found, current.id] if isinstance(current, ast.Name) else found


def _kind(tree: ast.Module) -> Kind:
    if tree.body and all(_defines(statement) for statement in tree.body):
        return "define"
    called = {_call_names(node)[0] for node in ast.walk(tree) if isinstance(node, ast.Call) and _call_names(node)}
    for kind, pattern in _KINDS:
        if any(pattern.match(name) for name in called):
            return kind
    binds = any(isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) for node in ast.walk(tree))
    return "prepare" if binds else "other"


def _defines(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Expr):
        names = _call_names(statement.value)
        return isinstance(statement.value, ast.Constant) or "run_line_magic" in names
    return isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


_LOOKS = re.compile(
    r"^(head|tail|describe|info|sample|value_counts|print|display|show|plot|hist|scatter|bar|imshow|title|xlabel|ylabel|"
    r"legend|figure|boxplot|heatmap|pairplot|\w+plot|type|len|tight_layout|axis|xlim|ylim|grid|summary|unique|nunique)$"
)


def _shows(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    if isinstance(value, ast.Name | ast.Attribute | ast.Constant | ast.Subscript):
        return True
    names = _call_names(value)
    return isinstance(value, ast.Call) and bool(names) and bool(_LOOKS.match(names[0]))
