"""What a notebook's function or class does, as one hash: a stored reference by name must find the same thing again."""

from __future__ import annotations

import types
from typing import Any

from blake3 import blake3


def fingerprint(definition: Any) -> str:
    """Hash of the code of a function, or of a class's methods; "" for what has no code of its own.

    Names of files and line numbers do not count. Data that hangs on a definition does not either: it is state.
    """
    hasher = blake3()
    if not _feed(definition, hasher):
        return ""
    return hasher.hexdigest(8)


def _feed(item: Any, hasher: blake3) -> bool:
    function = _function(item)
    if function is not None:
        _code(function.__code__, hasher)
        return True
    if not isinstance(item, type):
        return False
    hasher.update(repr([base.__qualname__ for base in item.__mro__]).encode())
    for name, member in sorted(vars(item).items()):
        parts = (member.fget, member.fset, member.fdel) if isinstance(member, property) else (member,)
        for part in parts:
            found = _function(part)
            if found is not None and found.__module__ == item.__module__:
                hasher.update(name.encode())
                _code(found.__code__, hasher)
    return True


def _function(item: Any) -> types.FunctionType | None:
    """The plain function behind decorators that keep it in `__wrapped__` or `__func__`."""
    for _ in range(20):
        if isinstance(item, types.FunctionType) and not hasattr(item, "__wrapped__"):
            return item
        item = getattr(item, "__wrapped__", None) or getattr(item, "__func__", None)
    return None


def _code(code: types.CodeType, hasher: blake3) -> None:
    hasher.update(code.co_code)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_argcount, code.co_flags)
    hasher.update(repr(names).encode())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _code(constant, hasher)
        elif isinstance(constant, frozenset):
            hasher.update(repr(sorted(map(repr, constant))).encode())
        else:
            hasher.update(f"{type(constant).__name__} {constant!r}".encode())
