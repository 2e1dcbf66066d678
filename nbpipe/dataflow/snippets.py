"""Which top-level statements only define, so that any stage can create them again from source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from nbpipe.dataflow.effects import CallEffects, Effects
from nbpipe.dataflow.magic_calls import magic_call
from nbpipe.dataflow.nodes import nodes_of
from nbpipe.dataflow.roots import dotted
from nbpipe.dataflow.scopes import FunctionNode, Seen
from nbpipe.dataflow.transform import plain_tree
from nbpipe.dataflow.walker import call_effects, effects_and_nodes

Kind = Literal["import", "function", "class", "constant", "param", "compound", "magic"]
_TYPE_MAKERS = frozenset(
    {"namedtuple", "NamedTuple", "TypedDict", "Enum", "IntEnum", "NewType", "TypeVar", "make_dataclass"}
)
#: Magics that set up a kernel; those of autoreload and nbpipe itself do nothing in a job.
_CONFIG_MAGICS = frozenset(
    {
        "matplotlib",
        "config",
        "load_ext",
        "reload_ext",
        "precision",
        "pprint",
        "colors",
        "xmode",
        "alias",
        "alias_magic",
        "gui",
    }
)
_IDLE_EXTENSIONS = re.compile(r"^(autoreload|nbpipe|watermark|line_profiler|memory_profiler|lab_black|nb_black)\b")


class Definition(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A statement that only defines. `needs` are read when it runs, `uses` when what it defines is called."""

    kind: Kind
    names: tuple[str, ...]
    needs: frozenset[str]
    uses: frozenset[str]
    modules: tuple[str, ...]
    callables: tuple[CallEffects, ...]
    #: Functions called while it runs (decorators), which may do more than define.
    runs: frozenset[str]
    #: A list, set or dict that somebody may change.
    mutable: bool = False
    #: Read by annotations: needed where there is such a name.
    annotated: frozenset[str] = frozenset()
    #: Values that running it changes in place, such as a registry.
    changes: frozenset[str] = frozenset()


def definition(node: ast.stmt, *, containers: bool = False) -> Definition | None:
    """What a statement defines; None if it does anything else.

    `containers`: literal lists, sets and dicts count as constants too (in exploration cells, which are not run).
    """
    return defined(node, *effects_and_nodes([node]), containers=containers)


def defined(node: ast.stmt, found: Effects, seen: Seen, *, containers: bool = False) -> Definition | None:
    """The same, where the statement's effects are known."""
    kind = _kind(node, containers=containers)
    if kind is None:
        return None
    callables = tuple(seen.called.get(function) or call_effects(function) for function in _functions(node))
    names = tuple(sorted(found.binds))
    needs = frozenset(found.reads) - found.binds
    uses = frozenset({*found.soft, *found.late}).union(*(effect.uses for effect in callables))
    runs = frozenset(call.callee for call in found.calls) | _decorators(seen)
    value = getattr(node, "value", None)
    mutable = isinstance(value, ast.List | ast.Dict | ast.Set)
    return Definition(
        kind,
        names,
        needs,
        uses,
        modules_of(seen.imports),
        callables,
        runs,
        mutable,
        frozenset(found.annotated) - found.binds,
        frozenset(found.mutates),
    )


def modules_of(imports: Iterable[ast.Import | ast.ImportFrom]) -> tuple[str, ...]:
    """Top-level modules that these import."""
    found: set[str] = set()
    for part in imports:
        if isinstance(part, ast.Import):
            found |= {alias.name.split(".")[0] for alias in part.names}
        elif part.module and not part.level:
            found.add(part.module.split(".")[0])
    return tuple(sorted(found))


def imported_as(name: str, source: str) -> list[str]:
    """What an import statement binds a name to, as `module:attribute`, without an attribute for a module."""
    tree = plain_tree(source)
    found = []
    for node in tree.body if tree else ():
        if isinstance(node, ast.Import):
            named = {alias.asname or alias.name.partition(".")[0]: alias for alias in node.names}
            found += [named[name].name if named[name].asname else name] if name in named else []
        elif isinstance(node, ast.ImportFrom):
            origin = f"{'.' * node.level}{node.module or ''}"
            found += [f"{origin}:{alias.name}" for alias in node.names if (alias.asname or alias.name) == name]
    return found


def config_magic(node: ast.stmt) -> str | None:
    """The line of a magic that sets up the kernel for everything below, such as `%config …`."""
    call = magic_call(node.value) if isinstance(node, ast.Expr) else None
    if call is None or call[0] != "line" or call[1] not in _CONFIG_MAGICS:
        return None
    _, name, text = call
    if name == "load_ext" and _IDLE_EXTENSIONS.match(text.strip()):
        return None
    return f"%{name} {text}".strip()


_KINDS: dict[type[ast.AST], Kind] = {
    ast.Import: "import",
    ast.ImportFrom: "import",
    ast.FunctionDef: "function",
    ast.AsyncFunctionDef: "function",
    ast.ClassDef: "class",
}


def _kind(node: ast.stmt, *, containers: bool) -> Kind | None:
    if type(node) is ast.Expr:
        return None
    kind = _KINDS.get(type(node))
    if kind is not None:
        return kind
    if isinstance(node, ast.Assign):
        return _assigned(node.targets, node.value, containers=containers)
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return _assigned([node.target], node.value, containers=containers)
    if isinstance(node, (ast.If, ast.Try)):
        return "compound" if _compound(node) else None
    return None


def _assigned(targets: list[ast.expr], value: ast.expr, *, containers: bool) -> Kind | None:
    for target in targets:
        if not isinstance(target, ast.Name):
            return None
    if isinstance(value, ast.Lambda) and len(targets) == 1:
        return "function"
    if isinstance(value, ast.Call):
        called = dotted(value.func) if len(targets) == 1 else ""
        if called.rpartition(".")[2] in _TYPE_MAKERS:
            arguments = [*value.args, *(keyword.value for keyword in value.keywords)]
            return "class" if all(literal(argument, containers=True) for argument in arguments) else None
        if called == "nbpipe.secret":
            # A secret is never stored: whoever uses it asks for it again.
            return "constant" if len(value.args) == 1 and literal(value.args[0], containers=False) else None
        return None
    if literal(value, containers=containers) and (len(targets) == 1 or literal(value, containers=False)):
        return "constant"
    return None


def literal(node: ast.expr, *, containers: bool) -> bool:
    """The expression is a literal; lists, sets and dicts only with `containers`."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.UnaryOp):
        return literal(node.operand, containers=containers)
    if isinstance(node, ast.BinOp):
        return all(
            isinstance(n, ast.BinOp | ast.Constant | ast.operator | ast.UnaryOp | ast.unaryop) for n in nodes_of(node)
        )
    if isinstance(node, ast.Tuple):
        return all(literal(item, containers=containers) for item in node.elts)
    if not containers:
        return False
    if isinstance(node, ast.List | ast.Set):
        return all(literal(item, containers=True) for item in node.elts)
    if isinstance(node, ast.Dict):
        keys = [key for key in node.keys if key is not None]
        return len(keys) == len(node.keys) and all(literal(item, containers=True) for item in (*keys, *node.values))
    return False


def _compound(node: ast.If | ast.Try) -> bool:
    parts: list[ast.stmt] = [*node.body, *node.orelse]
    if isinstance(node, ast.Try):
        if node.finalbody:
            return False
        parts += [child for handler in node.handlers for child in handler.body]
    defines = [isinstance(part, ast.Pass) or definition(part) is not None for part in parts]
    tested = isinstance(node, ast.Try) or not any(isinstance(n, ast.Call | ast.NamedExpr) for n in nodes_of(node.test))
    names = any(not isinstance(part, ast.Pass | ast.Assign | ast.AnnAssign) for part in parts)
    return all(defines) and tested and names


def _functions(node: ast.stmt) -> list[FunctionNode | ast.ClassDef]:
    """Functions and classes that the statement binds at module scope."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node]
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
        return [node.value]
    if isinstance(node, ast.If | ast.Try):
        children: list[ast.stmt] = [*node.body, *node.orelse]
        if isinstance(node, ast.Try):
            children += [child for handler in node.handlers for child in handler.body]
        return [function for child in children for function in _functions(child)]
    return []


def _decorators(seen: Seen) -> frozenset[str]:
    """Functions called where something is defined, and classes that others are made of."""
    listed = seen.definitions
    named = {dotted(d.func if isinstance(d, ast.Call) else d) for part in listed for d in part.decorator_list}
    bases = {dotted(base) for part in listed if isinstance(part, ast.ClassDef) for base in part.bases}
    return frozenset(name for name in named | bases if name and "." not in name)
