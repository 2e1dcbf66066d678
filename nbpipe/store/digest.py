"""Digest of a value: of what it is and of what type, never of accidents.

Counts: types, values, order in lists and dicts, NaN, the sign of zero, array layout (C or Fortran) and write flag,
whether two places hold the *same* mutable object. Does not count: the pickle memo, set order, the hash seed, interned
strings, where code stands, pandas' block layout. Equal in any process with the same Python version.

A value is taken apart into tagged, length-prefixed tokens, depth first. Libraries add handlers by the qualified names
of their types (`formats/`), so that none is imported before a value of it exists.
"""

from __future__ import annotations

import enum
import struct
import types
import weakref
from copyreg import dispatch_table
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from blake3 import blake3

from nbpipe.store import code_digest as code
from nbpipe.store.forgotten import origin_of
from nbpipe.store.identity import IMMUTABLE, hashed_by_value, may_be_single, nan_owner, single

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    Handler = Callable[["Digester", Any], None]


class Undigestable(TypeError):
    """The value has no digest (generator, lock, open file …): treat it as changed, and as one that cannot be stored."""


def digest(value: object) -> str:
    """Hex digest of the value and its type. Raises Undigestable."""
    return digest_and_sharing(value)[0]


def digest_and_sharing(value: object) -> tuple[str, str]:
    """Digest of the value, and digest of where in it one mutable object stands in several places."""
    digester = digested(value)
    return digester.hexdigest(), blake3(repr(digester.references).encode()).hexdigest()


def digested(value: object) -> Digester:
    """The digester that has taken in the value. Raises Undigestable."""
    digester = Digester()
    try:
        digester.add(value)
    except Undigestable:
        raise
    except RecursionError as error:
        raise Undigestable("nested too deeply") from error
    except Exception as error:
        raise Undigestable(f"{type(value).__name__}: {error}") from error
    return digester


def npy_digest(file_hash: str, *, writeable: bool) -> str:
    """Digest of the array that a `.npy` file with this hash holds: hashing the file digests the array as well."""
    digester = Digester()
    digester.text(b"npy", file_hash, "w" if writeable else "r")
    return digester.hexdigest()


class Digester:
    """Feeds tokens to one hash. Handlers call `token` and `add`; it remembers which mutable objects it has met."""

    def __init__(self) -> None:
        self._hash = blake3(max_threads=blake3.AUTO)
        self._seen: dict[int, int] = {}
        #: What `_seen` speaks of must stay alive, or its id may be given to another object.
        self._alive: list[object] = []
        #: Pairs (place of the second mention, place of the first).
        self.references: list[tuple[int, int]] = []
        #: The order in which each set of more than one item gives them; empty where another process has another one.
        self.orders: list[bytes] = []
        self._place = 0
        self._memory: list[tuple[int, int, int]] = []

    def hexdigest(self) -> str:
        """Digest of everything so far."""
        return self._hash.hexdigest()

    def token(self, tag: bytes, *parts: Any) -> None:
        """One tagged token; `parts` are bytes-like."""
        self._hash.update(b"%b:%d;" % (tag, len(parts)))
        for part in parts:
            view = memoryview(part)
            self._hash.update(b"%d;" % view.nbytes)
            if view.nbytes:
                self._hash.update(view.cast("B") if view.c_contiguous else view.tobytes())

    def text(self, tag: bytes, *parts: str) -> None:
        """One tagged token of text."""
        self.token(tag, *(part.encode("utf-8", "surrogatepass") for part in parts))

    def met(self, value: object) -> bool:
        """Note a mutable object; True if it was met before: then only where is digested."""
        self._place += 1
        first = self._seen.get(id(value))
        if first is not None:
            self.references.append((self._place, first))
            self.token(b"same", str(first).encode())
            return True
        self._seen[id(value)] = self._place
        self._alive.append(value)
        return False

    def memory(self, low: int, high: int) -> None:
        """Note the memory that an array lies in: where it overlaps that of an array met before is digested."""
        for index, (other_low, other_high, place) in enumerate(self._memory):
            if low < other_high and other_low < high:
                self.references.append((self._place, place))
                self.token(b"overlaps", b"%d %d %d" % (index, low - other_low, high - other_high))
        self._memory.append((low, high, self._place))

    def unordered(self, items: Iterable[Any]) -> list[bytes]:
        """Digests of the parts of a set; `orders` keeps how they stand now."""
        found = list(map(self.child, items))
        if len(found) > 1:
            self.orders.append(b"".join(found) if all(map(hashed_by_value, items)) else b"")
        return sorted(found)

    def child(self, value: object) -> bytes:
        """Digest of a part on its own, for parts whose order does not count."""
        other = Digester()
        other._seen = dict.fromkeys(self._seen, 0)
        other.add(value)
        return other._hash.digest()

    def add(self, value: Any) -> None:
        """Digest `value` as the next part."""
        kind = type(value)
        handler = _EXACT.get(kind)
        if handler is None:
            handler = _handler(cast("Hashable", kind))
        handler(self, value)


# ------------------------------------------------------------------------------------------------ plain values


def _float(digester: Digester, value: float) -> None:
    digester.token(b"float", struct.pack("<d", value) if value == value else _nan(value))  # noqa: PLR0124


def _nan(value: float) -> bytes:
    """No arithmetic tells one NaN from another, but `np.nan in values` does."""
    return f"nan {owner}".encode() if (owner := nan_owner(value)) else b"nan"


def _complex(digester: Digester, value: complex) -> None:
    digester.token(b"complex")
    _float(digester, value.real)
    _float(digester, value.imag)


def _int(digester: Digester, value: int) -> None:
    digester.token(b"int", b"%x" % value)


def _sequence(digester: Digester, tag: bytes, items: Any) -> None:
    digester.token(tag, b"%d" % len(items))
    kinds = set(map(type, items))
    packed = _pack(kinds, items) if len(items) > 4 and len(kinds) == 1 else None  # noqa: PLR2004
    if packed is not None:
        digester.token(*packed)
        return
    for item in items:
        digester.add(item)


def _pack(kinds: set[type], items: Iterable[Any]) -> tuple[bytes, ...] | None:
    """Many plain values of one type as one token, at the speed of C; None if they are of another type."""
    (kind,) = kinds
    if kind is str:
        encoded = [item.encode("utf-8", "surrogatepass") for item in items]
        return b"strs", struct.pack(f"<{len(encoded)}q", *map(len, encoded)), b"".join(encoded)
    if kind is float:
        values = list(items)
        if all(map(float.__eq__, values, values)):
            return b"floats", struct.pack(f"<{len(values)}d", *values)
        return b"floats*", b"\n".join(float.hex(item).encode() if item == item else _nan(item) for item in values)  # noqa: PLR0124
    if kind is int:
        return b"ints", ",".join(map(hex, items)).encode()
    if kind is bool:
        return b"bools", bytes(items)
    return None


def _list(digester: Digester, value: list[Any]) -> None:
    if not digester.met(value):
        _sequence(digester, b"list", value)


def _tuple(digester: Digester, value: tuple[Any, ...]) -> None:
    _sequence(digester, b"tuple", value)


def _dict(digester: Digester, value: dict[Any, Any]) -> None:
    if not digester.met(value):
        _sequence(digester, b"dict", tuple(value))
        _sequence(digester, b"values", tuple(value.values()))


def _set(digester: Digester, value: set[Any] | frozenset[Any]) -> None:
    if isinstance(value, frozenset) or not digester.met(value):
        digester.token(b"set", type(value).__name__.encode(), *digester.unordered(value))


def _set_like(digester: Digester, value: Any) -> None:
    if not digester.met(value):
        digester.add(type(value))
        digester.token(b"set*", *digester.unordered(value))
        digester.add(getattr(value, "__dict__", {}))


def _bytearray(digester: Digester, value: bytearray) -> None:
    if not digester.met(value):
        digester.token(b"bytearray", value)


def _range(digester: Digester, value: range) -> None:
    digester.text(b"range", repr((value.start, value.stop, value.step)))


def _slice(digester: Digester, value: slice) -> None:
    _sequence(digester, b"slice", (value.start, value.stop, value.step))


def _cell(digester: Digester, value: types.CellType) -> None:
    if not digester.met(value):
        try:
            contents = value.cell_contents
        except ValueError:
            digester.token(b"empty cell")
        else:
            digester.token(b"cell")
            digester.add(contents)


def _refuse(_digester: Digester, value: object) -> None:
    raise Undigestable(f"a {type(value).__qualname__} has no value that can be stored")


# ------------------------------------------------------------------------------------------------ everything else


def _enum(digester: Digester, value: enum.Enum) -> None:
    digester.add(type(value))
    digester.text(b"member", value.name or str(value.value))


def _by_reduction(digester: Digester, value: Any) -> None:
    """Any other object, as pickle would take it apart."""
    if not isinstance(value, IMMUTABLE) and digester.met(value):
        return
    reducer = dispatch_table.get(type(value))
    reduced = reducer(value) if reducer is not None else value.__reduce_ex__(4)
    digester._alive.append(reduced)  # noqa: SLF001 - a function of this class in all but place
    if isinstance(reduced, str):
        digester.text(b"global", str(getattr(value, "__module__", "")), reduced)
        return
    function, arguments, *rest = reduced
    state, items, pairs = (*rest, None, None, None)[:3]
    digester.token(b"object")
    if isinstance(value, BaseException) and (origin := origin_of(value)) is not None:
        digester.add(origin)
    digester.add(function)
    digester.add(tuple(arguments))
    digester.add(state)
    for tag, part in ((b"items", items), (b"pairs", pairs)):
        if part is not None:
            content = list(part)
            digester._alive.append(content)  # noqa: SLF001
            _sequence(digester, tag, content if tag == b"items" else tuple(chain.from_iterable(content)))


_EXACT: dict[type, Handler] = {
    type(None): lambda digester, _: digester.token(b"None"),
    type(...): lambda digester, _: digester.token(b"Ellipsis"),
    type(NotImplemented): lambda digester, _: digester.token(b"NotImplemented"),
    bool: lambda digester, value: digester.token(b"bool", b"1" if value else b"0"),
    int: _int,
    float: _float,
    complex: _complex,
    str: lambda digester, value: digester.text(b"str", value),
    bytes: lambda digester, value: digester.token(b"bytes", value),
    bytearray: _bytearray,
    list: _list,
    tuple: _tuple,
    dict: _dict,
    set: _set,
    frozenset: _set,
    range: _range,
    slice: _slice,
    types.CellType: _cell,
    types.FunctionType: code.digest_function,
    types.MethodType: code.digest_method,
    types.BuiltinFunctionType: code.digest_builtin,
    types.CodeType: code.digest_code,
    types.ModuleType: lambda digester, value: digester.text(b"module", value.__name__),
    staticmethod: code.digest_wrapper,
    classmethod: code.digest_wrapper,
    property: code.digest_property,
    memoryview: _refuse,
    weakref.ref: _refuse,
    types.GeneratorType: _refuse,
    types.CoroutineType: _refuse,
    types.AsyncGeneratorType: _refuse,
}


@lru_cache(maxsize=4096)
def _handler(kind: Any) -> Handler:
    from nbpipe.store.formats import digest_handler

    found = digest_handler(kind)
    if may_be_single(kind):
        return _single_or(cast("Handler", found or _by_reduction))
    if found is not None:
        return cast("Handler", found)
    if issubclass(kind, type):
        return code.digest_class
    if issubclass(kind, enum.Enum):
        return _enum
    if issubclass(kind, types.ModuleType):
        return _EXACT[types.ModuleType]
    if issubclass(kind, (set, frozenset)):
        return _set_like
    return _by_reduction


def _single_or(other: Handler) -> Handler:
    """The random state of the process is a name: what it holds is ambient state, not a value."""

    def handle(digester: Digester, value: Any) -> None:
        place = single(value)
        if place is None:
            other(digester, value)
        else:
            digester.text(b"single", *place)

    return handle
