"""How functions and classes are digested: by name where importing finds them again, else by all that they do."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from nbpipe.store.identity import found_by_name

if TYPE_CHECKING:
    from nbpipe.store.digest import Digester


def digest_method(digester: Digester, value: types.MethodType) -> None:
    """A bound method."""
    digester.token(b"method")
    digester.add(value.__func__)
    digester.add(value.__self__)


def digest_builtin(digester: Digester, value: types.BuiltinFunctionType) -> None:
    """A function written in C, and what it is bound to."""
    digester.text(b"builtin", value.__module__ or "", value.__qualname__)
    if value.__self__ is not None and not isinstance(value.__self__, types.ModuleType):
        digester.add(value.__self__)


def digest_function(digester: Digester, value: types.FunctionType) -> None:
    """A function; notebook functions, lambdas and closures by their code and what they close over."""
    if value.__module__ != "__main__" and found_by_name(value):
        digester.text(b"function", value.__module__, value.__qualname__)
        return
    if digester.met(value):
        return
    digester.text(b"code of", value.__name__, value.__qualname__)
    digest_code(digester, value.__code__)
    digester.add(value.__defaults__)
    digester.add(value.__kwdefaults__)
    digester.add(value.__dict__)
    digester.add(value.__closure__ or ())


def digest_code(digester: Digester, code: types.CodeType) -> None:
    """All of a code object that its behaviour depends on: not the file and the lines it came from."""
    digester.token(b"code", code.co_code, getattr(code, "co_exceptiontable", b""))
    digester.add((code.co_name, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags))
    digester.add((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars))
    digester.token(b"consts", b"%d" % len(code.co_consts))
    for constant in code.co_consts:
        digester.add(constant)


def digest_class(digester: Digester, value: type) -> None:
    """A class by its name; one made while a cell ran, with its body."""
    digester.text(b"class", value.__module__, value.__qualname__)
    if "<locals>" in value.__qualname__ and value.__module__ == "__main__":
        _class_body(digester, value)


_CLASS_MACHINERY = {"__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "_abc_impl", "__firstlineno__"}


def _class_body(digester: Digester, value: type) -> None:
    if digester.met(value):
        return
    digester.add(value.__bases__)
    for name, item in vars(value).items():
        if name in _CLASS_MACHINERY or isinstance(item, (types.GetSetDescriptorType, types.MemberDescriptorType)):
            continue
        digester.text(b"attribute", name)
        digester.add(item)


def digest_wrapper(digester: Digester, value: Any) -> None:
    """A static or class method."""
    digester.text(b"wrapper", type(value).__name__)
    digester.add(value.__func__)


def digest_property(digester: Digester, value: property) -> None:
    """A property."""
    digester.token(b"property")
    digester.add((value.fget, value.fset, value.fdel))
