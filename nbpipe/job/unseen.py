"""What cells change around them that no later stage gets: a warning names it, so that no difference is silent."""

from __future__ import annotations

import ast
import builtins
import operator
import re
import signal
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

from nbpipe.job import options
from nbpipe.job.background import Background

#: They replace functions of their own, or of others, while they work.
_RESTLESS = (
    "matplotlib",
    "IPython",
    "ipykernel",
    "nbpipe",
    "sys",
    "builtins",
    "__main__",
    "torch",
    "threading",
    "inspect",
)
_KINDS = (types.FunctionType, types.BuiltinFunctionType, type)
#: Settings of a library are of these; many libraries also count and remember in such names, for themselves.
_PLAIN = (bool, int, float, str, bytes, tuple)
_KEPT = (*_KINDS, *_PLAIN)
#: Copies of modules' names, made while a kernel waits for its job: the first look at a thousand modules takes long.
_AHEAD: dict[str, dict[str, Any]] = {}
_FIX = "later stages do not see it. Do it in a %%setup cell"


class Unseen:
    """Looks before the cells and after them, by identity: functions have no other."""

    def __init__(self, shell: Any, local: Callable[[str], bool]) -> None:
        self._shell = shell
        self._local = local
        self._before: dict[str, dict[str, Any]] = {}
        self._modules: dict[str, dict[str, Any]] = {}
        self._importing: dict[str, dict[str, Any]] = {}
        self._background = Background()

    def start(self) -> None:
        """Note what is there."""
        self._before = self._look()
        self._modules = {name: _noted(name, vars(module)) for name, module in self._watched()}
        _AHEAD.clear()
        self._background.start()

    def around_import(self, done: bool) -> None:  # noqa: FBT001
        """What the import of a library changes is not the user's."""
        if not done:
            self._importing = self._look()
            return
        for what, now in self._look().items():
            before = self._importing.get(what, {})
            self._before.setdefault(what, {}).update({n: v for n, v in now.items() if before.get(n) is not v})

    def warnings(self, cells: Iterable[str]) -> list[str]:
        """What has changed; `cells` is the code that ran: what it plainly assigns, the plan has seen."""
        found = []
        for what, now in self._look().items():
            before = self._before.get(what, {})
            other = sorted(name for name, value in now.items() if before.get(name) is not value)
            if other:
                found.append(f"{what} changed ({', '.join(other)}): {_FIX}")
        changed = [
            (f"{name}.{key}", key, value, now.get(key))
            for name, module in self._watched()
            for now in [vars(module)]
            for key, value in _replaced(self._modules.get(name, {}), now)
        ]
        if changed:
            carried, words = _said(cells)
            changed = [each for each in changed if each[1] not in carried]
            found += [
                f"{what} was replaced: {_FIX}" for what, _, before, now in changed if callable(before) and callable(now)
            ]
            # A number that the code does not name is the library's own business.
            found += [
                f"{what} was set: {_FIX}"
                for what, key, before, now in changed
                if isinstance(before, _PLAIN) and key in words and now != before
            ]
        return [*found, *self._background.warnings()]

    def _look(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {
            "builtins": _callables(builtins),
            "standard streams": {"sys.stdout": sys.stdout, "sys.stderr": sys.stderr},
        }
        if _ready("pandas"):
            found["pandas options that hold functions"] = _functions(options.pandas_all())
        if _ready("numpy"):
            found["NumPy's print formatters"] = _functions(options.numpy_formatters())
        if _ready("logging"):
            found["logging handlers"] = _handlers()
        found["signal handlers"] = _signals()
        found["IPython's hooks and magics"] = _hooks(self._shell)
        formatters = self._shell.display_formatter.formatters.values()
        found["how IPython shows classes"] = {
            kind.__name__: show
            for formatter in formatters
            for kind, show in _printers(formatter).items()
            if getattr(show, "__module__", "") == "__main__"
        }
        return found

    def _watched(self) -> list[tuple[str, Any]]:
        return [
            (name, module)
            for name, module in list(sys.modules.items())
            if isinstance(module, types.ModuleType)
            and name.partition(".")[0] not in _RESTLESS
            and not self._local(getattr(module, "__file__", None) or "")
        ]


def look_ahead(shell: Any, local: Callable[[str], bool]) -> None:
    """Look before and after nothing: the `Unseen` that comes then only has to see that all is what it was."""
    found = Unseen(shell, local)
    found.start()
    found.warnings(())
    _AHEAD.update(found._modules)  # noqa: SLF001


def _noted(name: str, now: dict[str, Any]) -> dict[str, Any]:
    ahead = _AHEAD.get(name)
    return ahead if ahead is not None and _same(ahead, now) else now.copy()


def _same(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether both have the same objects; false, too, where only the order of the names differs."""
    return len(before) == len(now) and all(map(operator.is_, before.values(), now.values()))


def _ready(name: str) -> bool:
    """Imported, and not just being imported."""
    return name in sys.modules and not getattr(sys.modules[name].__spec__, "_initializing", False)


def _said(cells: Iterable[str]) -> tuple[set[str], set[str]]:
    """What the code plainly sets on modules, which the plan sets again in every later stage; and all words of it."""
    from nbpipe.dataflow.transform import plain_tree
    from nbpipe.dataflow.walker import statement_effects

    carried, words = set[str](), set[str]()
    for text in cells:
        words |= set(re.findall(r"\w+", text))
        for node in (plain_tree(text) or ast.Module([], [])).body:
            found = statement_effects(node)
            if not found.binds:
                carried |= {target.rpartition(".")[2] for _, target, _ in found.patched}
    return carried, words


def _replaced(before: dict[str, Any], now: dict[str, Any]) -> list[tuple[str, Any]]:
    """Public functions, classes and settings of a module that are others now, as they were before."""
    # Nearly always nothing is: that is found without a look at each name.
    if _same(before, now):
        return []
    return [
        (name, value)
        for name, value in before.items()
        if now.get(name) is not value and name[:1] != "_" and isinstance(value, _KEPT)
    ]


def _callables(module: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(module).copy().items() if isinstance(value, _KINDS) and name[:1] != "_"}


def _functions(given: dict[str, Any]) -> dict[str, Any]:
    """Those without a plain form: the others are carried."""
    return {name: value for name, value in given.items() if callable(value) and options.plain(value) is ...}


def _printers(formatter: Any) -> dict[Any, Any]:
    """How it shows classes; empty before somebody registers or shows anything.

    To ask for them makes them, with NumPy's floats among them only if NumPy is there, and fails while it is being imported.
    """
    found: dict[Any, Any] = formatter._trait_values.get("type_printers", {})  # noqa: SLF001
    return found


def _hooks(shell: Any) -> dict[str, Any]:
    """What the notebook's own code has given to IPython: called around cells, on their text, or as a magic."""
    given = [(event, hook) for event, hooks in shell.events.callbacks.items() for hook in hooks]
    for name in ("input_transformers_cleanup", "input_transformers_post", "ast_transformers"):
        given += [(name, hook) for hook in getattr(shell, name)]
    given += [(f"%{name}", hook) for table in shell.magics_manager.magics.values() for name, hook in table.items()]
    own = [
        (name, hook) for name, hook in given if "__main__" in (getattr(hook, "__module__", ""), type(hook).__module__)
    ]
    return {
        name if name[0] == "%" else f"{name} {getattr(hook, '__name__', type(hook).__name__)}": hook
        for name, hook in own
    }


def _signals() -> dict[str, Any]:
    """What the notebook does about signals; libraries handle some for themselves."""
    handlers = {each.name: signal.getsignal(each) for each in signal.Signals}
    own = (signal.SIG_DFL, signal.SIG_IGN)
    return {
        name: handler
        for name, handler in handlers.items()
        if handler in own or getattr(handler, "__module__", "") == "__main__"
    }


def _handlers() -> dict[str, Any]:
    """Handlers by logger and place; libraries bring their own when they are imported."""
    import logging

    loggers: dict[str, Any] = {"root": logging.root}
    loggers |= {name: log for name, log in logging.root.manager.loggerDict.items() if _own_logger(name)}
    return {
        f"{name} {type(handler).__name__}": handler
        for name, log in loggers.items()
        for handler in getattr(log, "handlers", ())
    }


def _own_logger(name: str) -> bool:
    return name.partition(".")[0] not in sys.modules
