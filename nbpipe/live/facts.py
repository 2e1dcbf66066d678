"""What a name stands for, told in microseconds and without running code of the value's own type.

Only exact built-in types and a few types of well-known libraries are looked into. What is small is copied, so that
it can be digested later while the user goes on changing the original; what is not is told by its type and identity.
"""

from __future__ import annotations

import sys
import types
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Values of containers that are copied per cell, all together.
NODES = 500
#: Characters or bytes of one text that is kept, and bytes of one array that is copied.
LONGEST = 10_000
#: Names that are looked at per cell.
NAMES = 64

#: Stands for a content that was not copied.
ABSENT: Any = type("Absent", (), {"__slots__": (), "__repr__": lambda _: "ABSENT"})()

_ATOMS = frozenset({int, float, bool, complex, type(None)})
_TEXTS = frozenset({str, bytes})
_CONTAINERS = frozenset({list, tuple, dict, set, frozenset})
_KEYS = frozenset({*_ATOMS, str})
_CODE = frozenset({types.FunctionType, types.BuiltinFunctionType, types.ModuleType})
_SHAPED = {
    "numpy": ("ndarray",),
    "pandas": ("DataFrame", "Series"),
    "polars": ("DataFrame", "Series"),
    "torch": ("Tensor",),
}
_NUMERIC = "biufc"
#: As `type` has them: a metaclass may have its own.
_MODULE_OF = type.__dict__["__module__"].__get__
_NAME_OF = type.__dict__["__qualname__"].__get__


class Fact(NamedTuple):
    """What a name stood for at one moment. It keeps no large value alive."""

    kind: type
    ident: int
    #: The very value, as long as it lives; None where its type allows no weak reference.
    alive: weakref.ref[Any] | None = None
    #: The value, or a copy nobody else has; `ABSENT` where it was not copied.
    content: Any = ABSENT
    shape: tuple[int, ...] | None = None
    dtype: Any = None
    #: Functions: their code; modules and classes: the top-level module they are from.
    code: types.CodeType | None = None
    package: str = ""
    #: Of a frame: labels and types of its columns; neither is changed in place by anybody.
    columns: tuple[Any, Any] | None = None

    @property
    def digestible(self) -> bool:
        """Its content is known, not only its identity."""
        return self.content is not ABSENT


class _TooMuchError(Exception):
    """The value is larger than what may be copied, or not plain."""


_new = tuple.__new__
#: What a fact of a plain number leaves at its default.
_NOTHING = (None, None, None, "", None)


def look(namespace: Mapping[str, Any], names: Iterable[str]) -> dict[str, Fact]:
    """What those of the names that are bound stand for now. Never raises for the sake of a value."""
    left = [NODES]
    found = {}
    for name in names:
        value = namespace.get(name, ABSENT)
        if value is ABSENT:
            continue
        kind = type(value)
        # Most are plain numbers; the cell waits, and a tuple made like this takes half the time.
        found[name] = _new(Fact, (kind, id(value), None, value, *_NOTHING)) if kind in _ATOMS else fact(value, left)
    return found


def fact(value: Any, left: list[int] | None = None) -> Fact:
    """What the value is. `left[0]` is how many elements of containers may still be copied."""
    kind = type(value)
    if kind in _ATOMS:
        return Fact(kind, id(value), None, value)
    if kind in _TEXTS:
        size = len(value)
        return Fact(kind, id(value), None, value if size <= LONGEST else ABSENT, (size,))
    if kind in _CONTAINERS:
        return Fact(kind, id(value), None, _copied(value, left or [NODES]), (len(value),))
    if kind in _CODE or issubclass(kind, (type, types.ModuleType)):
        return _of_code(value, kind)
    try:
        return _of_library(value, kind)
    except Exception:  # noqa: BLE001 - a library's own type in an odd state: its type and identity are all there is
        return Fact(kind, id(value), _weak(value))


def is_same(value: Any, found: Fact | None) -> bool:
    """Whether the value is the object that the fact was told of, with as many elements as then."""
    if found is None or id(value) != found.ident:
        return False
    return found.kind not in _CONTAINERS or found.shape == (len(value),)


def type_name(kind: type) -> str:
    """Qualified name, as the store writes it; the module is left out for built-in types."""
    module, name = _MODULE_OF(kind), _NAME_OF(kind)
    return name if type(module) is not str or module in ("builtins", "__main__") else f"{module}.{name}"


def is_code(found: Fact) -> bool:
    """A module, function or class: not data."""
    return found.code is not None or bool(found.package) or found.kind in _CODE or issubclass(found.kind, type)


def _weak(value: Any) -> weakref.ref[Any] | None:
    try:
        return weakref.ref(value)
    except TypeError:
        return None


def _of_code(value: Any, kind: type) -> Fact:
    module: Any
    if issubclass(kind, types.ModuleType):
        module = types.ModuleType.__getattribute__(value, "__dict__").get("__name__")
    elif issubclass(kind, type):
        module = _MODULE_OF(value)
    else:
        module = value.__module__
    package = module.partition(".")[0] if type(module) is str else ""
    code = value.__code__ if kind is types.FunctionType else None
    return Fact(kind, id(value), _weak(value), code=code, package=package)


def _of_library(value: Any, kind: type) -> Fact:
    module = _MODULE_OF(kind)
    top = module.partition(".")[0] if type(module) is str else ""
    library = sys.modules.get(top) if top in _SHAPED else None
    if library is None:
        return Fact(kind, id(value), _weak(value))
    names = vars(library)
    if any(kind is names.get(name) for name in _SHAPED[top]):
        dtype: Any = None if _NAME_OF(kind) == "DataFrame" else value.dtype
        small = top == "numpy" and dtype.kind in _NUMERIC and value.nbytes <= LONGEST
        return Fact(
            kind,
            id(value),
            _weak(value),
            content=value.copy() if small else ABSENT,
            shape=tuple(value.shape),
            dtype=dtype,
            columns=_columns(value, top) if _NAME_OF(kind) == "DataFrame" else None,
        )
    scalar = top == "numpy" and names["generic"] in kind.__mro__ and value.dtype.kind in _NUMERIC
    return Fact(kind, id(value), _weak(value), content=value if scalar else ABSENT)


def _columns(value: Any, top: str) -> tuple[Any, Any]:
    """Labels and types as the frame holds them. pandas makes a series of its types, which takes fifty times as long."""
    if top == "polars":
        return value.columns, value.dtypes
    manager = vars(value).get("_mgr")
    return value.columns, manager.get_dtypes() if manager is not None else value.dtypes


def _copied(value: Any, left: list[int]) -> Any:
    try:
        return _copy(value, left, 0)
    except (_TooMuchError, RuntimeError):
        # RuntimeError: another thread changes it at this very moment.
        return ABSENT


def _copy(value: Any, left: list[int], depth: int) -> Any:
    kind = type(value)
    if kind in _ATOMS or (kind in _TEXTS and len(value) <= LONGEST):
        return value
    if kind not in _CONTAINERS or depth > 8 or len(value) > left[0]:  # noqa: PLR2004 - plain data is not nested deeper
        raise _TooMuchError
    left[0] -= len(value) + 1
    # What a container holds is mostly numbers: those are told, and copied, at the speed of C.
    flat = set(map(type, value.values() if kind is dict else value)) <= _ATOMS
    if flat and (kind is not dict or set(map(type, value)) <= _KEYS):
        return kind(value)
    if kind is dict:
        if not set(map(type, value)) <= _KEYS:
            raise _TooMuchError
        return {key: _copy(item, left, depth + 1) for key, item in value.items()}
    return kind([_copy(item, left, depth + 1) for item in value])
