"""Packages that can be called: `nbpipe.run(...)` and `nbpipe.history()` are functions that share a package's name.

Python binds an imported subpackage as an attribute of its parent, over whatever stood there: a function of that name
would be there until somebody imports from the package. So the package itself answers the call (see ADR 0005).
"""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class CallablePackage(ModuleType):
    """A package that, called, calls the function named in its `__called__`: `"module:function"`."""

    __called__: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.__wrapped__(*args, **kwargs)

    @property
    def __wrapped__(self) -> Any:
        """The function, imported on use: what `inspect` and a notebook's tooltips show."""
        module, _, name = self.__called__.partition(":")
        return getattr(import_module(module), name)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.__wrapped__)


def make_callable(package: str, called: str) -> None:
    """Let the package of this name, which is being imported, be called."""
    module = sys.modules[package]
    module.__class__ = CallablePackage
    module.__dict__["__called__"] = called
