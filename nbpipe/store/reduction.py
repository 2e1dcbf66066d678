"""How values that pickle cannot take apart exactly are reduced: what the notebook defines, closures, shared memory.

- Classes and functions of the notebook go by name; `needs` collects the names. Functions without a name there (lambdas,
  closures) go by code; the global names they read are needed too, and are looked up in the namespace of the loader.
- Arrays and tensors whose memory overlaps go as views of one block, so that they overlap again.
"""

from __future__ import annotations

import builtins
import dis
import marshal
import sys
import types
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nbpipe.store.fingerprint import fingerprint
from nbpipe.store.forgotten import attributes, made_by_arguments, may_have_attributes, origin_of
from nbpipe.store.identity import found_by_name, single
from nbpipe.store.sharing import reach, regions

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A view is stored with the gaps between its elements, and so with its strides, unless they would double its size.
_SPARSEST = 2


class Reducer:
    """Reduction for one pickle. `needs` is complete once the pickle is."""

    def __init__(self, value: object, *, by_value: frozenset[int] = frozenset()) -> None:
        self.needs: set[str] = set()
        #: What of the value stays behind, in people's words.
        self.lost: set[str] = set()
        #: Ids of notebook objects that are themselves the value: they cannot go by their own name.
        self._by_value = by_value
        self._reach = reach(value)
        self._regions = {
            owner: group
            for group in regions(self._reach.memory)
            if len({owner for _, _, owner in group}) > 1
            for _, _, owner in group
        }
        self._blocks: dict[int, Any] = {}

    def reduce(self, value: Any) -> Any:  # noqa: PLR0911 - one case a line
        """A reduce tuple, or NotImplemented. Raises TypeError with the reason where nothing would be exact."""
        kind = type(value)
        if kind is types.ModuleType:
            return _module(value)
        place = single(value)
        if place is not None:
            # `draw = random.random` draws from the state of the process, wherever it is.
            return _single, place
        if getattr(value, "__module__", None) == "__main__" and hasattr(value, "__qualname__"):
            return self._notebook(value)
        if kind is types.FunctionType and not found_by_name(value):
            return self._function(value)
        if kind is types.CellType:
            # Contents travel in the state of the functions that hold it: a closure may hold itself.
            return _new_cell, ()
        package = kind.__module__.partition(".")[0]
        if package == "numpy" and kind.__name__ == "ndarray":
            return self._array(value)
        if kind.__module__ == "numpy.ma" and kind.__name__ == "MaskedArray":
            # Its own reduction makes a full mask where there is none.
            return new_masked, (value.data,), dict(vars(value)), None, None, _fill_masked
        if package == "torch" and kind.__name__ in {"Tensor", "Parameter"}:
            return self._tensor(value)
        if isinstance(value, BaseException):
            return self._exception(value)
        if may_have_attributes(value) and (extra := attributes(value)):
            return _with(value, extra, _fill_attributes)
        return NotImplemented

    def _exception(self, error: BaseException) -> Any:
        """A pickle forgets what an exception came from. Its traceback holds frames, which cannot be stored."""
        if error.__traceback__ is not None:
            self.lost.add(f"the traceback of a {type(error).__name__}")
        origin = origin_of(error)
        if made_by_arguments(error):
            # What its `__init__` makes of its arguments is in `args` already: it is not called again.
            return new_exception, (type(error), error.args), (dict(vars(error)), origin), None, None, _fill_exception
        return NotImplemented if origin is None else _with(error, origin, _fill_exception)

    def _notebook(self, value: Any) -> Any:
        name = value.__qualname__
        if found_by_name(value) and id(value) not in self._by_value:
            self.needs.add(name.partition(".")[0])
            return definition, (name, fingerprint(value))
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return _class(value)
        return NotImplemented

    def _function(self, value: types.FunctionType) -> Any:
        if value.__module__ == "__main__":
            self.needs |= set(global_names(value.__code__, value.__globals__))
        cells = value.__closure__ or ()
        contents = tuple(map(_cell_state, cells))
        state = (value.__defaults__, value.__kwdefaults__, value.__dict__, dict(value.__annotations__), value.__doc__)
        arguments = (value.__module__, marshal.dumps(value.__code__), value.__name__, value.__qualname__, cells)
        return new_function, arguments, (contents, *state), None, None, _fill_function

    def _array(self, array: Any) -> Any:
        if array.dtype.hasobject:
            return NotImplemented
        from numpy.lib.array_utils import byte_bounds

        group = self._regions.get(id(array))
        if group is None:
            contiguous = array.flags.c_contiguous or array.flags.f_contiguous
            low, high = byte_bounds(array) if array.size else (0, 0)
            # numpy's own pickles of what no buffer can describe forget that it is read-only.
            forgotten = array.dtype.kind in "mMV" and not array.flags.writeable
            if not array.size and forgotten:
                import numpy as np

                return array_view, (np.empty(0, np.uint8), array.dtype, array.shape, 0, array.strides, False)
            if not array.size or (contiguous and not forgotten) or high - low > _SPARSEST * array.nbytes:
                return NotImplemented
            group = [(low, high, id(array))]
        base, block = self._block(group, array)
        offset = array.__array_interface__["data"][0] - base
        return array_view, (block, array.dtype, array.shape, offset, array.strides, bool(array.flags.writeable))

    def _tensor(self, tensor: Any) -> Any:
        import torch

        if tensor.requires_grad and not tensor.is_leaf:
            raise TypeError("the tensor carries its autograd graph; use .detach(), or .item() for a number")
        if tensor._backward_hooks:  # noqa: SLF001 - no public way to see them
            raise TypeError("the tensor has backward hooks")
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_conj() or tensor.is_neg():
            return NotImplemented
        parameter = type(tensor).__name__ == "Parameter"
        extra = (tensor.grad, dict(vars(tensor)) if getattr(tensor, "__dict__", None) else {})
        if tensor.device.type != "cpu":
            arguments = (tensor.detach().cpu(), str(tensor.device), tensor.requires_grad, parameter)
            return _device_tensor, arguments, extra, None, None, _fill_tensor
        extent = tensor_extent(tensor)
        base, block = (
            (extent[0], None)
            if extent[0] == extent[1]
            else self._block(self._regions.get(id(tensor)) or [(*extent, id(tensor))], tensor)
        )
        layout = (extent[0] - base, tuple(tensor.shape), tensor.stride())
        return (
            tensor_view,
            (block, tensor.dtype, *layout, tensor.requires_grad, parameter),
            extra,
            None,
            None,
            _fill_tensor,
        )

    def _block(self, group: list[tuple[int, int, Any]], owner: Any) -> tuple[int, Any]:
        """The memory that a group of arrays covers, as one array of bytes; the same array each time.

        `owner` is kept: it may be an object's passing state, which nobody else holds.
        """
        low, high = group[0][0], max(end for _, end, _ in group)
        if low not in self._blocks:
            self._blocks[low] = memory_block(low, high, (owner, self._reach))
        return low, self._blocks[low]


def memory_block(low: int, high: int, owner: object) -> Any:
    """The bytes at these addresses as a writeable array, which keeps `owner` alive."""
    import ctypes

    import numpy as np

    memory: Any = (ctypes.c_uint8 * (high - low)).from_address(low)
    memory.owner = owner
    return np.frombuffer(memory, dtype=np.uint8)


def tensor_extent(tensor: Any) -> tuple[int, int]:
    """First address of a strided tensor's elements, and the one after the last."""
    start = tensor.data_ptr()
    if tensor.numel() == 0:
        return start, start
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return start, start + (last + 1) * tensor.element_size()


def global_names(code: types.CodeType, globals_: dict[str, Any]) -> Iterator[str]:
    """Global names that `code`, or code nested in it, reads and that are not plain builtins."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in {"LOAD_GLOBAL", "LOAD_NAME"}:
            name = str(instruction.argval)
            if (name in globals_ or not hasattr(builtins, name)) and not name.startswith("__"):
                yield name
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from global_names(constant, globals_)


# ----------------------------------------------------------------- what pickles call when they are loaded


def definition(name: str, code: str) -> Any:
    """Stands for a notebook definition; the loader binds it to its namespace."""
    return resolve(name, code, vars(sys.modules["__main__"]))


def resolve(name: str, code: str, namespace: dict[str, Any]) -> Any:
    """The definition with this qualified name and this fingerprint; raises LookupError."""
    first, *rest = name.split(".")
    if first not in namespace:
        raise LookupError(f"the notebook's definition of '{first}' is needed and missing")
    found = namespace[first]
    for part in rest:
        found = getattr(found, part)
    if fingerprint(found) != code:
        raise LookupError(f"it holds '{name}' as it was before it was defined again")
    return found


def new_function(
    module: str,
    code: bytes,
    name: str,
    qualname: str,
    cells: tuple[types.CellType, ...],
    scope: dict[str, Any] | None = None,
) -> types.FunctionType:
    """A function whose cells are still empty; the loader passes its namespace as `scope` for notebook functions."""
    scope = vars(import_module(module)) if scope is None else scope
    made = types.FunctionType(marshal.loads(code), scope, name, None, cells or None)  # noqa: S302 - inside a signed pickle
    made.__qualname__ = qualname
    made.__module__ = module
    return made


def new_masked(data: Any) -> Any:
    """A masked array over this memory; its mask and fill value come with its state."""
    import numpy as np

    return data.view(np.ma.MaskedArray)


def _fill_masked(array: Any, state: dict[str, Any]) -> None:
    vars(array).update(state)


def _with(value: Any, extra: Any, fill: Any) -> Any:
    """What the value's own reduction gives, and `extra` for `fill` to put on top."""
    reduced = value.__reduce_ex__(4)
    if not isinstance(reduced, tuple):
        return NotImplemented
    function, arguments, *rest = reduced
    state, items, pairs = (*rest, None, None, None)[:3]
    return function, arguments, (state, extra), items, pairs, fill


def _set_state(value: Any, state: Any) -> None:
    if state is None:
        return
    if hasattr(value, "__setstate__"):
        value.__setstate__(state)
    else:
        vars(value).update(state)


def new_exception(kind: type[BaseException], arguments: tuple[Any, ...]) -> BaseException:
    """An exception whose `__init__` is not run; its attributes come with its state."""
    return kind.__new__(kind, *arguments)


def _fill_exception(error: BaseException, given: tuple[Any, tuple[Any, ...] | None]) -> None:
    state, origin = given
    _set_state(error, state)
    cause, context, suppress = origin or (None, None, False)
    error.__cause__, error.__context__, error.__suppress_context__ = cause, context, suppress


def _fill_attributes(value: Any, given: tuple[Any, dict[str, Any]]) -> None:
    state, extra = given
    _set_state(value, state)
    for name, item in extra.items():
        object.__setattr__(value, name, item)


def _fill_function(function: types.FunctionType, state: tuple[Any, ...]) -> None:
    contents, defaults, keyword_defaults, attributes, annotations, doc = state
    for cell, (full, content) in zip(function.__closure__ or (), contents, strict=True):
        if full:
            cell.cell_contents = content
    function.__defaults__ = defaults
    function.__kwdefaults__ = keyword_defaults
    function.__dict__.update(attributes)
    function.__annotations__ = annotations
    function.__doc__ = doc


def _new_cell() -> types.CellType:
    return types.CellType()


def _cell_state(cell: types.CellType) -> tuple[Any, ...]:
    try:
        return (True, cell.cell_contents)
    except ValueError:
        return (False, None)


def _module(value: types.ModuleType) -> Any:
    if value.__name__ == "__main__" or value.__spec__ is None:
        raise TypeError(f"module '{value.__name__}' cannot be imported again")
    return import_module, (value.__name__,)


def _single(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


def _class(value: type) -> Any:
    fields = getattr(value, "_fields", None)
    if value.__bases__ == (tuple,) and isinstance(fields, tuple):
        defaults = tuple(getattr(value, "_field_defaults", {}).values())
        return _named_tuple, (value.__name__, fields, defaults, value.__qualname__)
    raise TypeError(f"class '{value.__qualname__}' is made while a cell runs; define it at the top of a cell")


def _named_tuple(name: str, fields: tuple[str, ...], defaults: tuple[Any, ...], qualname: str) -> type:
    from collections import namedtuple

    made: type = namedtuple(name, fields, defaults=defaults, module="__main__")  # type: ignore[misc]  # noqa: PYI024
    made.__qualname__ = qualname
    return made


def array_view(block: Any, dtype: Any, shape: Any, offset: int, strides: Any, writeable: bool) -> Any:  # noqa: FBT001
    """An array in the memory of `block`."""
    import numpy as np

    array: Any = np.ndarray(shape, dtype, block, offset, strides)
    array.flags.writeable = writeable and block.flags.writeable
    return array


def tensor_view(
    block: Any,
    dtype: Any,
    offset: int,
    shape: Any,
    stride: Any,
    requires_grad: bool,  # noqa: FBT001
    parameter: bool,  # noqa: FBT001
) -> Any:
    """A tensor in the memory of `block`."""
    import torch

    tensor = torch.empty(0, dtype=dtype)
    if block is None:
        tensor = torch.empty_strided(shape, stride, dtype=dtype)
    else:
        storage = torch.from_numpy(block).untyped_storage()
        tensor = tensor.set_(storage, offset // tensor.element_size(), shape, stride)
    return torch.nn.Parameter(tensor, requires_grad) if parameter else tensor.requires_grad_(requires_grad)


def _device_tensor(tensor: Any, device: str, requires_grad: bool, parameter: bool) -> Any:  # noqa: FBT001
    import torch

    moved = tensor.to(device)
    return torch.nn.Parameter(moved, requires_grad) if parameter else moved.requires_grad_(requires_grad)


def _fill_tensor(tensor: Any, state: tuple[Any, dict[str, Any]]) -> None:
    tensor.grad = state[0]
    vars(tensor).update(state[1])
