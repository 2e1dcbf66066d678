"""Tells when the user's code imports something: around the outermost import, and once a watched module is there."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from types import ModuleType
from typing import Any

from nbpipe.job.shelf import SHELF
from nbpipe.job.sources import is_local

#: Characters that are kept of what one import prints.
_MOST = 100_000


class Heard:
    """What local modules print while they are imported by a stage's own cells, the first time."""

    def __init__(self) -> None:
        self.on = False
        #: Module, stream and text, in order.
        self.pieces: list[tuple[str, str, str]] = []
        self._known = set[str]()
        self._stack: list[str] = []

    @contextlib.contextmanager
    def importing(self, module: str) -> Iterator[None]:
        """While the module is executed."""
        if not self.on or (module in self._known and not self._stack):
            yield
            return
        streams = {} if self._stack else {name: getattr(sys, name) for name in ("stdout", "stderr")}
        own = {name: stream for name, stream in streams.items() if type(stream).__module__ == "ipykernel.iostream"}
        self._stack.append(module)
        self._known.add(module)
        for name, stream in own.items():
            stream.write = self._noting(name, stream.write)
        try:
            yield
        finally:
            self._stack.pop()
            for stream in own.values():
                del stream.write

    def _noting(self, name: str, write: Callable[[str], int]) -> Callable[[str], int]:
        own = threading.get_ident()

        def noted(text: str) -> int:
            if threading.get_ident() == own and self._stack and isinstance(text, str):
                place = (self._stack[-1], name)
                joined = self.pieces.pop()[2] + text if self.pieces and self.pieces[-1][:2] == place else text
                self.pieces.append((*place, joined[:_MOST]))
            return write(text)

        return noted


class ImportWatch(importlib.abc.MetaPathFinder):
    """A finder in front of all others that finds what they find, and wraps the loading of some modules.

    `loaded(name)` is called once a module of `names`, or one that lies in `project`, has been executed; `around(False)`
    and `around(True)` before and after the outermost import of anything else; `within(name)` is entered while a module of
    the project is executed.
    """

    def __init__(
        self,
        names: Collection[str],
        project: str,
        loaded: Callable[[str], None],
        around: Callable[[bool], None],
        within: Callable[[str], contextlib.AbstractContextManager[None]],
    ) -> None:
        self._names = frozenset(names)
        self._project = project.rstrip(os.sep) + os.sep
        self._loaded = loaded
        self._around = around
        self._within = within
        self._depth = 0

    def install(self) -> None:
        """Put it in front. A library that was loaded ahead comes with others, of which nobody else is told."""
        sys.meta_path.insert(0, self)
        SHELF.told = lambda name: self._loaded(name) if name in self._names else None

    def find_spec(
        self, fullname: str, path: Any = None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """What Python's own path finder says, wrapped where somebody wants to know."""
        local = self._may_be_local(fullname, path)
        if fullname not in self._names and not local and self._depth:
            return None
        spec = SHELF.find_spec(fullname, path) or importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or spec.loader is None or not hasattr(spec.loader, "exec_module"):
            return None
        local = local and is_local(spec.origin or "", self._project)
        tell = local or fullname in self._names
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            outermost = self._depth == 0 and not local
            if outermost:
                self._around(False)  # noqa: FBT003
            self._depth += not local
            try:
                with self._within(fullname) if local else contextlib.nullcontext():
                    load(module)
            finally:
                self._depth -= not local
                if outermost:
                    self._around(True)  # noqa: FBT003
            if tell:
                self._loaded(fullname)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

    def _may_be_local(self, fullname: str, path: Any) -> bool:
        if path is not None:
            return any(str(part).startswith(self._project) for part in path)
        for part in sys.path:
            folder = os.path.abspath(part or os.curdir) + os.sep  # noqa: PTH100
            if folder.startswith(self._project) and any(
                os.path.exists(folder + fullname + ending)  # noqa: PTH110
                for ending in (".py", os.sep)
            ):
                return True
        return False
