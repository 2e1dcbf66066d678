"""Which names a cell may look at before it has bound them itself: rather one too many than one too few. Runs no code."""

from __future__ import annotations

import ast
import contextlib
import dis
import functools
import gc
import re
import sys
import types
from collections import Counter
from typing import TYPE_CHECKING, Any

from nbpipe.dataflow.magic_calls import code_in_magic, magic_call
from nbpipe.dataflow.transform import CODE_MAGICS, parse
from nbpipe.dataflow.walker import effects

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

#: Whoever has one of these can look at any name.
_OPENS = frozenset(
    {
        "globals",
        "exec",
        "eval",
        "get_ipython",
        "__main__",
        "__globals__",
        "f_globals",
        "f_locals",
        "f_back",
        "_getframe",
    }
    | {"currentframe", "user_ns", "user_global_ns", "user_module", "register_globals", "dump_session", "dump_module"}
    | {
        "query",
        "evaluate",
        "sql",
        "execute_global",
        "ev",
        "builtins",
        "__builtins__",
        "InteractiveShell",
        "Application",
    }
    | {"breakpoint", "set_trace", "interact"}
)
#: What opens nothing where it is a method that is called without arguments, as a model's is.
_METHODS = ("eval", "modules")
#: Who may hold the names of the kernel without anybody coming to them by that.
_OWNERS = ("IPython", "ipykernel", "traitlets", "nbpipe")
#: Containers of more entries are not searched for texts, nor those that lie deeper in others.
_FEW, _DEEP = 1000, 3
#: The same at the level of a cell, where what is local is global.
_OPENS_HERE = frozenset({"locals", "vars"})
#: Magics that look at nothing but what stands in their line, and those that look at no name's value.
_PLAIN_MAGICS = frozenset(
    {"alias", "bash", "cat", "cd", "colors", "conda", "config", "cp", "dirs", "env", "html", "HTML", "javascript", "js"}
    | {"latex", "load_ext", "ls", "mamba", "markdown", "matplotlib", "mkdir", "mv", "pinfo", "pinfo2", "pip", "popd"}
    | {"precision", "pushd", "pwd", "reload_ext", "rm", "rmdir", "script", "set_env", "sh", "svg", "sx", "system", "uv"}
    | {"unload_ext", "writefile", "autoreload", "file"}
)
_BLIND_MAGICS = frozenset({"nbpipe", "reset", "reset_selective", "xdel"})
_CALLABLE = (types.BuiltinFunctionType, types.FunctionType, types.MethodType)
_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_WORD = re.compile(r"[^\W\d]\w*")
#: Code in the line of a magic or of the shell.
_EXPANDED = re.compile(r"\{([^{}]*)\}")
#: Characters of a text that are searched for names; a longer one may hold any.
_LONGEST = 1_000_000


class _AnyError(Exception):
    """It may look at any name."""


def reached(tree: ast.Module, names: Mapping[str, Any], wanted: Collection[str]) -> set[str]:
    """Those of the names `wanted` whose values may be looked at while the code runs in a kernel that has `names`.

    Followed are functions of the kernel that the code names, and all that are held by anything else than a name: they may
    be called by whoever holds them. With code that can look at any name, such as `globals()`, all are.
    """
    search = _Search(names, frozenset(wanted))
    try:
        search.held_elsewhere()
        search.cell(tree)
    except Exception:  # noqa: BLE001 - what cannot be told may be any
        return set(wanted)
    return search.found


class _Search:
    """Goes from what is mentioned to what that mentions, until nothing is new."""

    def __init__(self, names: Mapping[str, Any], wanted: frozenset[str]) -> None:
        self._names = names
        self._wanted = wanted
        # duckdb finds tables among the names of whoever asks.
        self._opens = _OPENS | ({"execute"} if "duckdb" in sys.modules else set())
        self._seen: set[str] = set()
        self._codes: set[types.CodeType] = set()
        self._functions: set[int] = set()
        self.found: set[str] = set()

    def held_elsewhere(self) -> None:
        """Functions that see the kernel's names and are held by more than such names: methods, callbacks, what runs meanwhile."""
        bound = Counter(id(value) for value in list(self._names.values()) if type(value) is types.FunctionType)
        own, others = _parted(gc.get_referrers(self._names))
        if not all(_is_known(one, self._names) for one in others):
            # A closure, a list, an object: who has it has all names.
            raise _AnyError
        # What the list alone holds counts as often as its first.
        counts = [sys.getrefcount(one) for one in own]
        for one, count in zip(own, counts, strict=True):
            if type(one) is types.FrameType:
                if one.f_globals is self._names:
                    self._code(one.f_code)
            elif one.__globals__ is self._names and count - counts[0] > bound[id(one)]:
                self._function(one)

    def cell(self, tree: ast.Module) -> None:
        """What the code of a cell, or of a magic in it, mentions."""
        magics = [(node, said) for node in ast.walk(tree) if (said := magic_call(node)) is not None]
        inside = {id(part) for node, _ in magics for part in ast.walk(node)}
        for _, said in magics:
            self._magic(*said)
        # `net.eval()` takes no text: it is a model's. Nor is `net.modules()` that of `sys`.
        calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and not (node.args or node.keywords))
        inside |= {
            id(call.func) for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr in _METHODS
        }
        printed = {id(part) for node in ast.walk(tree) for part in _shown(node)}
        for node in ast.walk(tree):
            if id(node) in inside:
                continue
            self._words(_words_of(node), follow=False)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in printed:
                self._text(node.value)
        # What a cell only binds or deletes it does not look at.
        targets = {id(node.target) for node in ast.walk(tree) if isinstance(node, ast.AugAssign)}
        named = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
        read = {node.id for node in named if isinstance(node.ctx, ast.Load) or id(node) in targets}
        touched = effects(tree.body)
        self._words(read & {*touched.touched, *touched.annotated, *touched.mutates})

    def _magic(self, kind: str, name: str, text: str) -> None:
        if any(self._opens & set(_WORD.findall(part)) for part in _EXPANDED.findall(text)):
            raise _AnyError
        if kind in ("system", "getoutput"):
            self._text(text)
        elif name in _BLIND_MAGICS:
            return
        elif kind == "cell" and name in CODE_MAGICS:
            line, _, body = text.partition("\n")
            self._text(line)
            self.cell(parse(body))
        elif kind == "line" and (tree := code_in_magic(name, text)) is not None:
            self.cell(tree)
        elif name in _PLAIN_MAGICS:
            self._text(text)
        else:
            raise _AnyError

    def _text(self, text: str) -> None:
        """A text may become code, or a name, wherever it is given to."""
        if len(text) > _LONGEST:
            raise _AnyError
        words = set(_WORD.findall(text))
        if "__main__" in words:
            raise _AnyError
        self._words(words - self._opens)

    def _words(self, words: Iterable[str], *, follow: bool = True) -> None:
        for word in words:
            if word in self._opens:
                raise _AnyError
            if word in self._wanted:
                self.found.add(word)
            elif follow and word in self._names and word not in self._seen:
                self._seen.add(word)
                self._value(self._names[word])

    def _value(self, value: Any, depth: int = 0) -> None:
        """What a value of the kernel says, or opens under another name."""
        kind = type(value)
        if kind is types.FunctionType and value.__globals__ is self._names:
            self._function(value)
        elif kind is str:
            self._text(value)
        elif kind is bytes and len(value) <= _FEW:
            self._text(value.decode("latin-1"))
        elif kind in (list, tuple, set, frozenset, dict) and len(value) <= _FEW and depth < _DEEP:
            for item in [*value, *value.values()] if kind is dict else list(value):
                self._value(item, depth + 1)
        elif kind is functools.partial:
            for item in (value.func, *value.args, *value.keywords.values()):
                self._value(item, depth + 1)
        elif (
            (kind in _CALLABLE and value.__name__ in self._opens | _OPENS_HERE)
            or value is self._names
            or value is sys.modules
            or kind in (types.FrameType, types.CodeType)
            or _is_kernel(value, self._names)
        ):
            raise _AnyError

    def _function(self, function: types.FunctionType) -> None:
        if id(function) in self._functions:
            return
        self._functions.add(id(function))
        self._code(function.__code__, function.__doc__)
        for cell in function.__closure__ or ():
            with contextlib.suppress(ValueError):
                self._value(cell.cell_contents)
        for given in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._value(given)

    def _code(self, code: types.CodeType, said: str | None = None) -> None:
        """What a function mentions, functions inside it included; `said` is its docstring."""
        if code in self._codes:
            return
        self._codes.add(code)
        words = set(code.co_names) - {word for word in _METHODS if _is_only_method(code, word)}
        if self._opens & words or "modules" in words:
            raise _AnyError
        self._words(step.argval for step in dis.get_instructions(code) if step.opname in _GLOBAL)
        for text in _texts(code.co_consts):
            if text != said:
                self._text(text)
        for inner in code.co_consts:
            if isinstance(inner, types.CodeType):
                self._code(inner)


def _is_only_method(code: types.CodeType, word: str) -> bool:
    """Whether each such word of a function is a method that is called without arguments."""
    steps = [step for step in dis.get_instructions(code) if step.opname not in ("CACHE", "PUSH_NULL")]
    for step, after in zip(steps, [*steps[1:], None], strict=True):
        if step.argval == word and step.opname not in ("LOAD_CONST", "STORE_FAST", "LOAD_FAST"):
            method = step.opname in ("LOAD_METHOD", "LOAD_ATTR")
            if not method or after is None or not after.opname.startswith(("CALL", "PRECALL")) or after.argval:
                return False
    return True


def _words_of(node: ast.AST) -> tuple[str, ...]:
    """Words of a node by which somebody might come to any name, or to that one, without naming it as a variable."""
    if isinstance(node, ast.Attribute):
        return (node.attr, "globals") if node.attr == "modules" else (node.attr,)
    if isinstance(node, ast.Import | ast.ImportFrom):
        modules = (node.module or "",) if isinstance(node, ast.ImportFrom) else ()
        taken = tuple(alias.name for alias in node.names)
        return (*modules, *taken, *(("globals",) if modules == ("sys",) and "modules" in taken else ()))
    if isinstance(node, ast.keyword):
        return (node.arg,) if node.arg in _OPENS else ()
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
        return ("globals",) if node.func.id in _OPENS_HERE else ()
    return (node.id,) if isinstance(node, ast.Name) and node.id in _OPENS else ()


def _shown(node: ast.AST) -> Iterator[ast.AST]:
    """Texts that become nothing else: those that are printed, docstrings, and the test whether this is the main module."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
        for argument in node.args:
            yield argument
            yield from argument.values if isinstance(argument, ast.JoinedStr) else ()
    elif isinstance(node, ast.Expr):
        yield node.value
    elif isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and node.left.id == "__name__":
        yield from node.comparators


def _texts(constants: Iterable[Any]) -> Iterator[str]:
    for constant in constants:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, tuple | frozenset):
            yield from _texts(constant)


def _parted(referrers: list[Any]) -> tuple[list[Any], list[Any]]:
    """Functions and frames, behind one function that nothing else holds; and all else."""
    own: list[Any] = [lambda: None]
    others: list[Any] = []
    for one in referrers:
        (own if type(one) in (types.FunctionType, types.FrameType) else others).append(one)
    return own, others


def _is_known(holder: Any, names: Mapping[str, Any]) -> bool:
    """Whether it is the kernel's, or nbpipe's own, that holds the names; or the names themselves do."""
    if holder is names or type(holder).__module__.partition(".")[0] in _OWNERS:
        return True
    if isinstance(holder, types.ModuleType):
        return vars(holder) is names
    if type(holder) is not dict:
        return False
    if holder.keys() == {"user_global", "user_local", "builtin"}:
        # IPython's table of namespaces.
        return True
    owners = [one for one in gc.get_referrers(holder) if type(one).__module__.partition(".")[0] in _OWNERS]
    return any(getattr(one, "__dict__", None) is holder for one in owners)


def _is_kernel(value: Any, names: Mapping[str, Any]) -> bool:
    """The kernel's own module or shell, by which one comes to all names."""
    if isinstance(value, types.ModuleType):
        return vars(value) is names
    shell = sys.modules.get("IPython.core.interactiveshell")
    return shell is not None and issubclass(type(value), shell.InteractiveShell)
