"""Which values share mutable memory, so that a change through one name shows under the other.

The walk follows what the garbage collector knows of each object, so it sees into any type; arrays and tensors are
compared by the memory they occupy. It stops at what is never stored by value: modules, classes, importable functions.
"""

from __future__ import annotations

import enum
import gc
import logging
import sys
import types
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbpipe.store.identity import IMMUTABLE, found_by_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PLAIN: frozenset[type] = frozenset({type(None), bool, int, float, complex, str, bytes, range, type(...)})
_NEVER = (
    type,
    types.ModuleType,
    types.CodeType,
    types.FrameType,
    types.GeneratorType,
    enum.Enum,
    logging.Logger,
    logging.Handler,
    weakref.ref,
)


@dataclass(slots=True)
class Reach:
    """What one value reaches: mutable objects by id, and intervals of memory (low, high, id of the owner)."""

    objects: set[int] = field(default_factory=set)
    memory: list[tuple[int, int, int]] = field(default_factory=list)
    #: Frames and series of pandas.
    frames: list[Any] = field(default_factory=list)
    #: Temporary wrappers whose ids must not be given away while ids are compared.
    alive: list[object] = field(default_factory=list)


def groups(values: Mapping[str, object], reaches: Mapping[str, Reach] | None = None) -> tuple[tuple[str, ...], ...]:
    """Names whose values share mutable memory: groups of two or more, each sorted, in sorted order."""
    names = sorted(values)
    reaches = reaches or {name: reach(values[name]) for name in names}
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    first: dict[int, str] = {}
    for name in names:
        for identity in reaches[name].objects:
            parent[root(name)] = root(first.setdefault(identity, name))
    for group in regions((low, high, name) for name in names for low, high, _ in reaches[name].memory):
        for _, _, name in group[1:]:
            parent[root(name)] = root(group[0][2])
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(root(name), []).append(name)
    return tuple(sorted(tuple(group) for group in found.values() if len(group) > 1))


def beside(reaches: Mapping[str, Reach]) -> dict[str, tuple[str, ...]]:
    """Per name the others in whose memory its frames lie, or that lie in its frames' memory.

    Two frames are beside each other only where pandas does not copy on write.
    """
    if not any(found.frames for found in reaches.values()):
        return {}
    arrays = [(low, high, (name, False)) for name, found in reaches.items() for low, high, _ in found.memory]
    if not arrays and _copies_on_write():
        return {}
    frames = [(low, high, (name, True)) for name, found in reaches.items() for low, high in _columns(found.frames)]
    near: dict[str, set[str]] = {}
    for region in regions([*arrays, *frames]):
        members = {owner for *_, owner in region}
        for name, framed in members:
            if framed or any(frame for _, frame in members):
                others = {other for other, frame in members if not (framed and frame and _copies_on_write())}
                near.setdefault(name, set()).update(others - {name})
    return {name: tuple(sorted(others)) for name, others in near.items() if others}


def _columns(frames: Iterable[Any]) -> Iterator[tuple[int, int]]:
    """The memory of columns that numpy holds."""
    numpy = sys.modules["numpy"]
    from numpy.lib.array_utils import byte_bounds

    for frame in frames:
        # A thousand columns of one type are one block; pandas offers no other way to it that copies nothing.
        blocks = getattr(getattr(frame, "_mgr", None), "blocks", ())
        for values in (getattr(block, "values", None) for block in blocks):
            if isinstance(values, numpy.ndarray) and values.size:
                yield byte_bounds(values)


def _copies_on_write() -> bool:
    pandas = sys.modules["pandas"]
    return int(pandas.__version__.partition(".")[0]) > 2 or pandas.get_option("mode.copy_on_write") is True  # noqa: PLR2004


def regions(intervals: Iterable[tuple[int, int, Any]]) -> Iterator[list[tuple[int, int, Any]]]:
    """Intervals that overlap, joined transitively, as one list each; by ascending address."""
    group: list[tuple[int, int, Any]] = []
    end = 0
    for interval in sorted(intervals, key=lambda interval: interval[:2]):
        if group and interval[0] >= end:
            yield group
            group = []
        end = max(end, interval[1]) if group else interval[1]
        group.append(interval)
    if group:
        yield group


def reach(value: object) -> Reach:
    """Walk everything mutable that `value` holds."""
    found = Reach()
    seen: set[int] = set()
    stack: list[object] = [value]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind in _PLAIN or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, _NEVER) or (isinstance(item, IMMUTABLE) and not isinstance(item, tuple)):
            continue
        stack.extend(_parts(item, kind, found))
    return found


def _parts(item: Any, kind: type, found: Reach) -> Iterable[object]:  # noqa: PLR0911 - one case a line
    if kind is tuple or kind is frozenset:
        return _contents(item)
    if isinstance(item, types.FunctionType):
        if found_by_name(item):
            return ()
        found.objects.add(id(item))
        return [*(item.__closure__ or ()), item.__defaults__, item.__kwdefaults__, item.__dict__]
    if kind is types.BuiltinFunctionType or kind is types.MethodWrapperType:
        return () if isinstance(item.__self__, (types.ModuleType, type(None))) else (item.__self__,)
    package = kind.__module__.partition(".")[0]
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(item, numpy.ndarray):
        found.objects.add(id(item))
        _array(item, found)
        extra = [vars(item)] if hasattr(item, "__dict__") else []
        return [*extra, *(_contents(item.ravel().tolist()) if item.dtype.hasobject and item.dtype == "object" else ())]
    if numpy is not None and isinstance(item, (numpy.dtype, numpy.generic)):
        return ()
    if package == "pandas":
        return _pandas(item, found)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(item, (torch.dtype, torch.device, torch.layout)):
        return ()
    if torch is not None and isinstance(item, torch.Tensor):
        return _tensor(item, found, torch)
    if package in {"polars", "pyarrow"}:
        found.objects.add(id(item))
        return ()
    found.objects.add(id(item))
    if kind in (list, dict, set):
        return _contents(item)
    return gc.get_referents(item)


def _contents(container: Any) -> Iterable[object]:
    if isinstance(container, dict):
        return [*_contents(tuple(container)), *_contents(tuple(container.values()))]
    return () if set(map(type, container)) <= _PLAIN else container


def _array(array: Any, found: Reach) -> None:
    if array.size == 0:
        return
    from numpy.lib.array_utils import byte_bounds

    low, high = byte_bounds(array)
    found.memory.append((low, high, id(array)))
    found.alive.append(array)


def _pandas(item: Any, found: Reach) -> Iterable[object]:
    """Frames share memory only by identity (copy-on-write), but their object columns may hold anything."""
    kind = type(item).__name__
    if kind in {"Timestamp", "Timedelta", "Period", "Interval", "NAType", "NaTType"} or "Offset" in kind:
        return ()
    pandas = sys.modules["pandas"]
    if isinstance(item, (pandas.DataFrame, pandas.Series)):
        found.frames.append(item)
    if isinstance(item, pandas.DataFrame):
        found.objects.add(id(item))
        columns = (item.iloc[:, place] for place, dtype in enumerate(item.dtypes) if dtype == "object")
        return [item.attrs, *chain_contents(column.to_numpy().tolist() for column in columns)]
    if isinstance(item, pandas.Series):
        found.objects.add(id(item))
        return [item.attrs, *(_contents(item.to_numpy().tolist()) if item.dtype == "object" else ())]
    if isinstance(item, pandas.Index):
        return ()
    found.objects.add(id(item))
    return gc.get_referents(item)


def chain_contents(lists: Iterable[list[Any]]) -> Iterator[object]:
    """Contents of several lists that need to be walked."""
    for each in lists:
        yield from _contents(each)


def _tensor(tensor: Any, found: Reach, torch: Any) -> Iterable[object]:
    found.objects.add(id(tensor))
    if tensor.layout is torch.strided and tensor.numel():
        start = tensor.data_ptr()
        last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
        found.memory.append((start, start + (last + 1) * tensor.element_size(), id(tensor)))
    parts: list[object] = [vars(tensor)] if getattr(tensor, "__dict__", None) else []
    if tensor.is_leaf and tensor.grad is not None:
        parts.append(tensor.grad)
    return parts
