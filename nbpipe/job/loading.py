"""What an import does, noted while it is done: which module needs which, and what each changes around it."""

from __future__ import annotations

import atexit
import builtins
import contextlib
import functools
import importlib
import importlib.machinery
import os
import random
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

#: When a file changed, its size and inode; zeros where there is none.
Stamp = tuple[int, int, int]


def stamp(file: str) -> Stamp:
    """What tells that a file is still the one that it was."""
    try:
        found = os.stat(file)  # noqa: PTH116 - a thousand of them
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _finalizers() -> list[Any]:
    return list(weakref.finalize._registry)  # type: ignore[attr-defined]  # noqa: SLF001


class Loading:
    """What is loaded, and by whom: which modules each module imports, and what changes around it meanwhile."""

    def __init__(self) -> None:
        #: In the order in which their execution began: what `stamp` says of their files just before.
        self.begun: dict[str, Stamp] = {}
        self.needs: dict[str, set[str]] = {}
        self.stack: list[str] = [""]
        self.open = True
        #: Entries of the warning filters, variables, functions for the end, texts: with the module that they came with.
        self.filters: list[tuple[str, Any]] = []
        self.variables: dict[str, str] = {}
        self.exits: list[tuple[str, Any]] = []
        self.said: list[tuple[str, str, str]] = []
        self.warned: list[tuple[str, Any]] = []
        self.finalizers: list[tuple[str, Any]] = []
        #: Calls that drew from Python's own random state.
        self.draws: list[tuple[str, Callable[[], Any]]] = []
        self._known = list(warnings.filters)
        self._finalizers = set(_finalizers())
        self._environ = dict(os.environ)

    def tick(self) -> None:
        """What has changed since the last one came with the module that is being executed."""
        owner = self.stack[-1]
        if warnings.filters != self._known:
            known, self._known = self._known, list(warnings.filters)
            self.filters += [(owner, entry) for entry in reversed(self._known) if entry not in known]
        if len(new := set(_finalizers())) != len(self._finalizers) or new != self._finalizers:
            self.finalizers += [(owner, each) for each in new - self._finalizers]
            self._finalizers = new
        if (now := dict(os.environ)) != self._environ:
            self.variables |= {name: owner for name, text in now.items() if self._environ.get(name) != text}
            self._environ = now

    def find_spec(self, fullname: str, path: Any = None, _target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """As the path finder, with the loading of the module noted."""
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or spec.loader is None or not hasattr(spec.loader, "exec_module"):
            return None
        loader, load = spec.loader, spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            self.tick()
            self.begun[fullname] = stamp(spec.origin or "")
            self.needs.setdefault(self.stack[-1], set()).add(fullname)
            self.stack.append(fullname)
            try:
                load(module)
            finally:
                self.tick()
                self.stack.pop()
                with contextlib.suppress(AttributeError):
                    del loader.exec_module

        loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

    def imports(self, name: str, names: Any = None, _locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        """As `__import__`, with what is imported noted for the module that imports."""
        module = self.real(name, names, _locals, fromlist, level)
        importer = (names or {}).get("__name__", "")
        full = name
        if level:
            package = (names or {}).get("__package__") or importer
            full = ".".join(filter(None, [package.rsplit(".", level - 1)[0], name]))
        # A function that imports does it for the module that calls it while it is executed itself.
        needs = self.needs.setdefault(importer if importer in self.stack else self.stack[-1], set())
        needs.add(full)
        needs.update(f"{full}.{each}" for each in fromlist or () if f"{full}.{each}" in sys.modules)
        return module

    def note(self, name: str) -> None:
        """The module that is being executed needs this one."""
        self.needs.setdefault(self.stack[-1], set()).add(name)

    real = staticmethod(builtins.__import__)


class _Stream:
    """A standard stream for the time of loading: kept by a library, it is later the kernel's own."""

    #: What a kernel's streams say of themselves.
    encoding = "UTF-8"

    def __init__(self, name: str, loading: Loading) -> None:
        self._name, self._loading, self._real = name, loading, getattr(sys, name)

    def write(self, text: str) -> int:
        now = getattr(sys, self._name)
        if now is self:
            self._loading.said.append((self._loading.stack[-1], self._name, text))
            return len(text)
        return int(now.write(text))

    def __getattr__(self, name: str) -> Any:
        now = getattr(sys, self._name)
        return getattr(self._real if now is self else now, name)


def _drawing(loading: Loading, draw: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Any:
        if loading.open:
            loading.draws.append((loading.stack[-1], functools.partial(draw, *args, **kwargs)))
        return draw(*args, **kwargs)

    return drawn


@contextlib.contextmanager
def noted(loading: Loading) -> Iterator[None]:
    """While it is entered, all imports go through `loading`, and what they print is kept by it."""
    register, streams = atexit.register, (sys.stdout, sys.stderr)

    def registered(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        loading.exits.append((loading.stack[-1], (call, args, kwargs)))
        return register(call, *args, **kwargs)

    def shown(message: Any, *_: Any, **__: Any) -> None:
        loading.warned.append((loading.stack[-1], message))

    def imported(name: str, package: str | None = None) -> ModuleType:
        module = find(name, package)
        loading.note(module.__name__)
        return module

    state = random.random.__self__  # type: ignore[attr-defined]
    own = {name: draw for name, draw in vars(random).items() if getattr(draw, "__self__", None) is state}
    for name, draw in own.items():
        setattr(random, name, _drawing(loading, draw))
    find, show = importlib.import_module, warnings._showwarnmsg_impl  # type: ignore[attr-defined]  # noqa: SLF001
    importlib.import_module, warnings._showwarnmsg_impl = imported, shown  # type: ignore[attr-defined]  # noqa: SLF001
    sys.meta_path.insert(0, loading)
    builtins.__import__ = loading.imports  # type: ignore[assignment]
    atexit.register = registered  # type: ignore[assignment]
    sys.stdout, sys.stderr = _Stream("stdout", loading), _Stream("stderr", loading)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        atexit.register = register
        loading.open = False
        vars(random).update(own)
        importlib.import_module, warnings._showwarnmsg_impl = find, show  # type: ignore[attr-defined]  # noqa: SLF001
        builtins.__import__ = loading.real
        sys.meta_path.remove(loading)
